//! Dispatches of a recorded step that wait for each other by themselves.

internal import CShaders

/// The links of a step. Where a device starts workgroups in the order asked, a one-row dispatch needs no
/// barrier before it: its workgroups start when there is room, ask for their first weights, and wait until
/// every workgroup of the stage before has raised its link. Attention is one stage, a projection another; a
/// dispatch may do several projections in turn.
struct StepChain {
    /// Link `n`: how many workgroups stage `n` waits for.
    private(set) var expected: [UInt32] = []
    /// Links of which claims of shares are made, of dispatches that do several projections.
    private(set) var claimCount = 0
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
    /// Links of a step: one more than stages, for the last raises one too, and then claims. A layer has five
    /// stages and as many claims as 256 workgroups take.
    static let linkCapacity = capacity + 1 + 2 * capacity

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
        return (addressOfLink(expected.count - 1), previousGroups != nil)
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
        var list = thimble_vector_stages(stages: projectionAddress + UInt64(offset), claims: 0)
        if stages.count > 1 {
            list.claims = addressOfLink(Self.capacity + 1 + claimCount)
            claimCount += 1 + (groups + 31) / 32
            precondition(claimCount <= 2 * Self.capacity, "no model is so deep")
        }
        return (list, isIndependent)
    }

    private func addressOfLink(_ index: Int) -> UInt64 {
        address + UInt64(index * MemoryLayout<thimble_link>.stride)
    }

    /// The link that the last stage so far raises, whatever came behind it; nil where there is none.
    var raised: UInt64? { expected.isEmpty ? nil : addressOfLink(expected.count) }

    /// States that a command follows that raises no link: the next one needs a barrier.
    mutating func interrupt() { previousGroups = nil }

    /// The links as begin_step finds them: one more than there are stages, for the last raises one too.
    var links: [thimble_link] {
        expected.map { thimble_link(arrived: 0, expected: $0) } + [thimble_link(arrived: 0, expected: 0)]
    }
}
