//! Who is asked before memory is taken.

/// Where memory lies.
public enum MemoryPlace: String, Sendable, CaseIterable, Codable {
    /// A GPU's own memory.
    case device
    /// The memory of the process.
    case host
}

/// Keeps account of memory: every large piece is drawn by name before it is taken, and given back when it
/// goes. Any thread may ask.
public protocol MemoryAccount: AnyObject, Sendable {
    /// Draws `byteCount` bytes under the name `label`. Throws `outOfMemory` where the limit leaves fewer;
    /// then nothing is drawn.
    func draw(_ byteCount: Int, of place: MemoryPlace, for label: String) throws(BackendError)
    /// Gives back what was drawn under that name.
    func giveBack(_ byteCount: Int, of place: MemoryPlace, for label: String)
}

/// Bytes drawn from an account, which go back when their owner lets go of them.
public struct DrawnBytes: ~Copyable, Sendable {
    private let account: (any MemoryAccount)?
    private let byteCount: Int
    private let place: MemoryPlace
    private let label: String

    /// Draws from `account`; nil grants everything. Throws `outOfMemory`.
    public init(
        _ byteCount: Int, of place: MemoryPlace, for label: String, from account: (any MemoryAccount)?
    ) throws(BackendError) {
        try account?.draw(byteCount, of: place, for: label)
        self.account = account
        self.byteCount = byteCount
        self.place = place
        self.label = label
    }

    deinit { account?.giveBack(byteCount, of: place, for: label) }
}
