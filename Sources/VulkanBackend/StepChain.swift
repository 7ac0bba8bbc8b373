//! Dispatches of a recorded step that wait for each other by themselves.

internal import CShaders

/// The links of a step. Where a device starts workgroups in the order asked, a one-row dispatch needs no
/// barrier before it: its workgroups start when there is room, ask for their first weights, and wait until
/// every workgroup of the stage before has raised its link. Attention is one stage, a projection another; a
/// dispatch may do several projections in turn.
struct StepChain {
    /// Link `n`: how many workgroups stage `n` waits for.
    private(set) var expected: [UInt32] = []
    /// What each projection works on, in order.
    private(set) var projections: [thimble_project_vector] = []
    /// Projections that the next dispatch will do.
    var segment: VectorSegment?
    /// Workgroups of the command before, if it raises a link.
    private var previousGroups: Int?
    /// Where the device has the links, and the projections.
    private let address: UInt64
    private let projectionAddress: UInt64

    /// More than a model of the deepest kind has one-row stages.
    static let capacity = 2048

    init(links: UInt64, projections: UInt64) {
        address = links
        projectionAddress = projections
        expected.reserveCapacity(Self.capacity)
    }

    /// Adds a stage of so many workgroups: the link that it waits for, and whether it needs no barrier.
    mutating func add(groups: Int) -> (link: UInt64, isIndependent: Bool) {
        defer { previousGroups = groups }
        precondition(expected.count < Self.capacity, "no model is so deep")
        expected.append(UInt32(previousGroups ?? 0))
        let link = address + UInt64((expected.count - 1) * MemoryLayout<thimble_link>.stride)
        return (link, previousGroups != nil)
    }

    /// Adds the projections of a dispatch, each a stage of so many workgroups: where the device will find
    /// them, and whether the first needs no barrier.
    mutating func add(
        _ stages: [thimble_project_vector], groups: Int
    ) -> (list: thimble_vector_stages, isIndependent: Bool) {
        let offset = projections.count * MemoryLayout<thimble_project_vector>.stride
        let isIndependent = previousGroups != nil
        for var stage in stages {
            stage.link = add(groups: groups).link
            projections.append(stage)
        }
        return (thimble_vector_stages(stages: projectionAddress + UInt64(offset)), isIndependent)
    }

    /// States that a command follows that raises no link: the next one needs a barrier.
    mutating func interrupt() { previousGroups = nil }

    /// The links as begin_step finds them: one more than there are stages, for the last raises one too.
    var links: [thimble_link] {
        expected.map { thimble_link(arrived: 0, expected: $0) } + [thimble_link(arrived: 0, expected: 0)]
    }
}
