//! Where activations lie: several in one memory, those that never live at once over the same bytes.

/// A part of an arena: a name, a size, and when it lives.
public struct ArenaRegion: Sendable, Equatable {
    public let name: String
    public let byteCount: Int
    /// Bytes from the arena's start.
    public fileprivate(set) var offset = 0
    /// The phases of a computation in which it holds something, the last included.
    let phases: ClosedRange<Int>

    /// The bytes in the arena.
    public var bytes: Range<Int> { offset..<offset + byteCount }

    /// Precondition: `byteCount` is not negative.
    init(_ name: String, byteCount: Int, phases: ClosedRange<Int>) {
        precondition(byteCount >= 0)
        self.name = name
        self.byteCount = byteCount
        self.phases = phases
    }
}

/// Regions laid out in one arena. A value: making one takes no memory.
public struct ArenaPlan: Sendable, Equatable {
    /// In the order asked for.
    public private(set) var regions: [ArenaRegion]
    /// Bytes of the arena.
    public private(set) var byteCount = 0

    /// What every offset is a multiple of: a page, so that what is not touched costs nothing.
    static let alignment = 4096

    /// Lays the regions out largest first, each at the lowest offset that keeps it clear of those that live
    /// in a phase of its own (greedy by size, Pisarchyk and Lee 2020, arXiv:2001.03288).
    ///
    /// Precondition: names differ, and no sum of sizes overflows.
    init(_ regions: [ArenaRegion]) {
        precondition(Set(regions.map(\.name)).count == regions.count)
        self.regions = regions
        var placed: [ArenaRegion] = []
        for index in regions.indices.sorted(by: { regions[$0].byteCount > regions[$1].byteCount }) {
            var region = regions[index]
            let rivals = placed.filter { $0.phases.overlaps(region.phases) }
                .sorted { $0.offset < $1.offset }
            for rival in rivals where region.offset + region.byteCount > rival.offset {
                region.offset = max(region.offset, Self.aligned(rival.bytes.upperBound))
            }
            placed.append(region)
            self.regions[index] = region
            byteCount = max(byteCount, Self.aligned(region.bytes.upperBound))
        }
    }

    /// The region of that name, which must exist.
    subscript(name: String) -> ArenaRegion {
        guard let region = regions.first(where: { $0.name == name }) else {
            preconditionFailure("no region \(name)")
        }
        return region
    }

    private static func aligned(_ offset: Int) -> Int { (offset + alignment - 1) / alignment * alignment }
}
