//! The one ledger: every large piece of memory is drawn from it by name, under limits that nothing passes.

public import Tensors
internal import Threads

/// How much memory may be taken; nil where nothing limits it. Bytes.
public struct LedgerLimits: Sendable, Equatable {
    public var device: Int?
    public var host: Int?
    /// Of both together, where a GPU and the processor share one memory.
    public var total: Int?

    public init(device: Int? = nil, host: Int? = nil, total: Int? = nil) {
        self.device = device
        self.host = host
        self.total = total
    }
}

/// What was drawn under one name.
public struct LedgerEntry: Sendable, Equatable {
    public let name: String
    public let place: MemoryPlace
    /// Bytes held now.
    public internal(set) var byteCount: Int
    /// The most bytes ever held.
    public internal(set) var peak: Int
}

/// Accounts for memory by name and place, and refuses what would pass a limit.
///
/// Drawing and giving back are safe from any thread. What is counted is what was drawn: a piece counts whole
/// from the moment it is drawn, whether its pages are touched yet or not.
public final class Ledger: MemoryAccount {
    public let limits: LedgerLimits
    private let refuses: @Sendable (Int) -> Bool
    private let state = Monitor(State())

    private struct State {
        var entries: [LedgerEntry] = []
        var drawCount = 0
        var device = 0
        var host = 0
        var peaks = (device: 0, host: 0, total: 0)
    }

    /// Grants what the limits leave. `refusing` is asked of each draw by its number, from 0 on: a test lets
    /// the one it chooses fail.
    public init(
        _ limits: LedgerLimits = LedgerLimits(), refusing: @escaping @Sendable (Int) -> Bool = { _ in false }
    ) {
        self.limits = limits
        refuses = refusing
    }

    public func draw(
        _ byteCount: Int, of place: MemoryPlace, for label: String
    ) throws(BackendError) {
        precondition(byteCount >= 0)
        let limits = self.limits
        let refuses = self.refuses
        let refusal: BackendError? = state.withLock { state in
            state.drawCount += 1
            if refuses(state.drawCount - 1) {
                return BackendError(.outOfMemory, "\(label) is refused \(byteCount) bytes")
            }
            let held = place == .device ? state.device : state.host
            if let limit = place == .device ? limits.device : limits.host, byteCount > limit - held {
                return Self.refusal(byteCount, label, place.rawValue, limit: limit, held: held)
            }
            let both = state.device + state.host
            if let limit = limits.total, byteCount > limit - both {
                return Self.refusal(byteCount, label, "total", limit: limit, held: both)
            }
            if place == .device { state.device += byteCount } else { state.host += byteCount }
            state.peaks.device = max(state.peaks.device, state.device)
            state.peaks.host = max(state.peaks.host, state.host)
            state.peaks.total = max(state.peaks.total, state.device + state.host)
            guard
                let index = state.entries.firstIndex(where: { $0.name == label && $0.place == place })
            else {
                state.entries.append(
                    LedgerEntry(name: label, place: place, byteCount: byteCount, peak: byteCount))
                return nil
            }
            state.entries[index].byteCount += byteCount
            state.entries[index].peak = max(state.entries[index].peak, state.entries[index].byteCount)
            return nil
        }
        if let refusal { throw refusal }
    }

    private static func refusal(
        _ byteCount: Int, _ label: String, _ which: String, limit: Int, held: Int
    ) -> BackendError {
        BackendError(
            .outOfMemory,
            "\(label) needs \(byteCount) bytes, and \(limit - held) of the \(which) memory limit's \(limit) "
                + "bytes are left")
    }

    public func giveBack(_ byteCount: Int, of place: MemoryPlace, for label: String) {
        state.withLock { state in
            guard
                let index = state.entries.firstIndex(where: { $0.name == label && $0.place == place }),
                state.entries[index].byteCount >= byteCount
            else { preconditionFailure("\(label) gives back what was not drawn") }
            state.entries[index].byteCount -= byteCount
            if place == .device { state.device -= byteCount } else { state.host -= byteCount }
        }
    }

    /// What was ever drawn, in the order of first draws.
    public var entries: [LedgerEntry] { state.withLock { $0.entries } }

    /// Bytes held now.
    public func held(_ place: MemoryPlace) -> Int {
        state.withLock { place == .device ? $0.device : $0.host }
    }

    /// The most bytes ever held at once.
    public func peak(_ place: MemoryPlace) -> Int {
        state.withLock { place == .device ? $0.peaks.device : $0.peaks.host }
    }
}
