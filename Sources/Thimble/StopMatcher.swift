//! Ends a generation at a stop string without ever showing a part of it.

/// Holds text back while it could still turn into a stop string.
struct StopMatcher {
    private let stops: [[UInt8]]
    private var held: [UInt8] = []

    /// Empty stop strings match nothing.
    init(_ stops: [String]) { self.stops = stops.map { Array($0.utf8) }.filter { !$0.isEmpty } }

    /// Takes more text; returns what can be shown, and whether a stop string was met. Nothing is shown from
    /// the first stop string on.
    mutating func push(_ text: String) -> (text: String, isStopped: Bool) {
        if stops.isEmpty { return (text, false) }
        held += Array(text.utf8)
        if let start = stops.compactMap({ firstIndex(of: $0) }).min() {
            defer { held = [] }
            return (String(decoding: held[..<start], as: UTF8.self), true)
        }
        let keep = stops.map { longestPrefixAtEnd($0) }.max() ?? 0
        // A stop string starts at a character, so the part shown ends at one.
        let shown = held.count - keep
        defer { held.removeFirst(shown) }
        return (String(decoding: held[..<shown], as: UTF8.self), false)
    }

    /// What was held back, once no more text comes.
    mutating func finish() -> String {
        defer { held = [] }
        return String(decoding: held, as: UTF8.self)
    }

    private func firstIndex(of stop: [UInt8]) -> Int? {
        guard held.count >= stop.count else { return nil }
        return (0...held.count - stop.count).first { held[$0..<$0 + stop.count].elementsEqual(stop) }
    }

    /// The length of the longest proper prefix of `stop` that the held text ends with.
    private func longestPrefixAtEnd(_ stop: [UInt8]) -> Int {
        let longest = min(stop.count - 1, held.count)
        return (0...longest).reversed().first { held.suffix($0).elementsEqual(stop.prefix($0)) } ?? 0
    }
}
