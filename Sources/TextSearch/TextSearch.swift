//! Texts within texts, found byte for byte.

// The standard library's own search is written for all collections and comes with an engine for regular
// expressions, ten times as large as all that is searched for here.

extension ArraySlice<UInt8> {
    /// Where `pattern`, which is short and not empty, first stands.
    package func firstPlace(of pattern: [UInt8]) -> Range<Int>? {
        precondition(!pattern.isEmpty, "something is looked for")
        guard pattern.count <= count else { return nil }
        for start in startIndex...(endIndex - pattern.count)
        where self[start] == pattern[0] && self[start..<start + pattern.count].elementsEqual(pattern) {
            return start..<start + pattern.count
        }
        return nil
    }

    /// What stands before, between and after the places of `pattern`, from the first on.
    package func pieces(between pattern: [UInt8]) -> [ArraySlice<UInt8>] {
        var pieces: [ArraySlice<UInt8>] = []
        var rest = self
        while let place = rest.firstPlace(of: pattern) {
            pieces.append(rest[..<place.lowerBound])
            rest = rest[place.upperBound...]
        }
        return pieces + [rest]
    }
}

extension StringProtocol {
    /// Whether `text`, which is not empty, stands somewhere.
    package func holds(_ text: String) -> Bool { Array(utf8)[...].firstPlace(of: Array(text.utf8)) != nil }

    /// What stands before, between and after the places of `text`, from the first on. Bytes are searched:
    /// characters may join those of `text` with what follows it.
    package func pieces(between text: String) -> [String] {
        Array(utf8)[...].pieces(between: Array(text.utf8)).map { String(decoding: $0, as: UTF8.self) }
    }
}
