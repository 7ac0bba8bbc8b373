//! Dispatches of a recorded step that wait for each other by themselves.

internal import CShaders

/// The links of a step. Where a device starts workgroups in the order asked, a one-row dispatch needs no
/// barrier before it: its workgroups start when there is room, ask for their first weights, and wait until
/// every workgroup of the dispatch before has raised its link.
struct StepChain {
    /// Link `n`: how many workgroups dispatch `n` waits for.
    private(set) var expected: [UInt32] = []
    /// Workgroups of the command before, if it raises a link.
    private var previousGroups: Int?
    /// Where the device has the links.
    private let address: UInt64

    /// More than a model of the deepest kind has one-row dispatches.
    static let capacity = 2048

    init(address: UInt64) {
        self.address = address
        expected.reserveCapacity(Self.capacity)
    }

    /// Adds a dispatch of so many workgroups: the link that it waits for, and whether it needs no barrier.
    mutating func add(groups: Int) -> (link: UInt64, isIndependent: Bool) {
        defer { previousGroups = groups }
        expected.append(UInt32(previousGroups ?? 0))
        let link = address + UInt64((expected.count - 1) * MemoryLayout<thimble_link>.stride)
        return (link, previousGroups != nil)
    }

    /// States that a command follows that raises no link: the next one needs a barrier.
    mutating func interrupt() { previousGroups = nil }

    /// The links as begin_step finds them: one more than there are dispatches, for the last raises one too.
    var links: [thimble_link] {
        expected.map { thimble_link(arrived: 0, expected: $0) } + [thimble_link(arrived: 0, expected: 0)]
    }
}
