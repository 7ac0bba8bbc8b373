//! Which weights are held, and which come and go: decided before anything is read.

internal import ModelFile
internal import Tensors

/// Units in the order in which a pass uses them, again and again, and where each has its place in the arena.
public struct WeightCycle: Sendable, Equatable {
    public var units: [WeightUnit] = []
    /// Bytes from the arena's start to a unit that stays while its phase lasts; nil for one that passes
    /// through the ring.
    public var homes: [Int?] = []
    /// The bytes of the arena that the others pass through.
    public var ring = 0..<0

    /// The units that are read again in every pass.
    public var passing: [WeightUnit] { zip(units, homes).filter { $1 == nil }.map(\.0) }
}

/// Where every weight of a model lives.
///
/// Segments are *resident*, held from load to end, or belong to a phase: the decoder's and the tower's share
/// one arena. While a phase lasts, as many of its units as possible stay in the arena, and the rest pass
/// through a ring in it, always the same ones, in order: where access goes round and round, keeping a fixed
/// part is the best that can be done, and least recently used the worst.
public struct Residency: Sendable, Equatable {
    /// Indices of segments that are held whole.
    public var resident: Set<Int>
    /// Tiles of the embedding that are kept of those that were read last; nil where it is resident.
    public var embeddingTiles: Int?
    public var decoder = WeightCycle()
    public var vision = WeightCycle()
    public var arenaByteCount = 0

    /// Whether every weight is held from load to end.
    public var isWhole: Bool { embeddingTiles == nil && decoder.units.isEmpty && vision.units.isEmpty }

    /// Everything held.
    public static func whole(_ inventory: WeightInventory) -> Residency {
        Residency(resident: Set(inventory.all), embeddingTiles: nil)
    }

    /// Rows of the embedding that a prompt looks up come in tiles of 16; what a conversation repeats stays.
    static let keptEmbeddingTiles = 64
    /// Units are at most this large where their matrices allow: reads of some megabytes are as fast as any.
    static let mostUnitBytes = 16 << 20

    /// The bytes that this residency takes in memory, of all weights.
    public func byteCount(_ inventory: WeightInventory) -> Int {
        var sum = inventory.byteCount(of: resident) + arenaByteCount
        for index in inventory.all where !resident.contains(index) {
            sum += inventory.vectorsByteCount(of: index)
        }
        if let tiles = embeddingTiles { sum += Self.embeddingByteCount(tiles: tiles, inventory) }
        return sum
    }

    /// Bytes of `tiles` tiles of the embedding.
    public static func embeddingByteCount(tiles: Int, _ inventory: WeightInventory) -> Int {
        let layout = inventory.segments[inventory.embedding].entry.tensors[0].layout
        return tiles * (layout.tileByteCount + layout.tileScalesByteCount)
    }

    /// A residency that takes at most `budget` bytes, and makes good use of them; nil where there is none.
    static func fitting(_ inventory: WeightInventory, budget: Int) -> Residency? {
        var cuts = UnitCuts(inventory)
        return fitting(&cuts, budget: budget)
    }

    /// The same of the model that `cuts` cuts.
    static func fitting(_ cuts: inout UnitCuts, budget: Int) -> Residency? {
        let inventory = cuts.inventory
        let all = whole(inventory)
        if all.byteCount(inventory) <= budget { return all }
        // Looking a row up where it lies in the file costs a token less than any other part of the model.
        var kept = all
        if !inventory.tiesEmbedding {
            kept.resident.remove(inventory.embedding)
            kept.embeddingTiles = keptTiles(inventory)
            if kept.byteCount(inventory) <= budget { return kept }
        }
        return sharing(&cuts, budget: budget)
    }

    /// The tower and the decoder take turns in one arena.
    private static func sharing(_ cuts: inout UnitCuts, budget: Int) -> Residency? {
        let inventory = cuts.inventory
        var result = Residency(resident: [], embeddingTiles: keptTiles(inventory))
        let fixed = result.byteCount(inventory)
        let room = budget - fixed
        guard room > 0 else { return nil }

        let unitBytes = min(mostUnitBytes, room / 8)
        let visionUnits = cuts.visionUnits(mostBytes: max(unitBytes, cuts.largestOfVision))
        let visionBytes = visionUnits.reduce(0) { $0 + $1.byteCount }
        let visionLargest = visionUnits.map(\.byteCount).max() ?? 0
        let unitsOf = cuts.decoderUnits(mostBytes: max(unitBytes, cuts.largestOfDecoder))
        let decoderBytes = unitsOf.joined().reduce(0) { $0 + $1.byteCount }
        let decoderLargest = unitsOf.joined().map(\.byteCount).max() ?? 0

        let passes = decoderBytes > room
        // Two units are the least with which one is read while another is used; a third evens things out.
        let ring = passes ? ringByteCount(decoderLargest, room: room) : 0
        let visionRing = min(visionBytes, ringByteCount(visionLargest, room: room))
        let least = max(ring, visionRing)
        guard room >= max(decoderLargest, visionLargest), room >= least, least > 0 else { return nil }

        // Unit by unit, so that what stays fills the room.
        let all = unitsOf.flatMap { $0 }
        let passing = passes ? spread(all.map(\.byteCount), atLeast: decoderBytes - (room - ring)) : []
        // What stays while tokens are decoded: in memory of its own as long as the tower keeps its room.
        let arenaFloor = min(room, max(ring, visionBytes))
        var resident: Set<Int> = []
        var residentBytes = 0
        var shared: [(unit: WeightUnit, passes: Bool)] = []
        var position = 0
        for (index, units) in zip(inventory.decoder, unitsOf) {
            let positions = position..<position + units.count
            position = positions.upperBound
            // A tied head is the embedding's, which is not a segment of the decoder's own.
            let isOwn = units.allSatisfy { $0.segment == index }
            let cost = inventory.byteCount(of: [index]) - inventory.vectorsByteCount(of: index)
            if isOwn, passing.isDisjoint(with: positions), residentBytes + cost <= room - arenaFloor {
                resident.insert(index)
                residentBytes += cost
            } else {
                shared += zip(units, positions).map { ($0, passing.contains($1)) }
            }
        }
        let homed = shared.reduce(0) { $0 + ($1.passes ? 0 : $1.unit.byteCount) }
        result.resident = resident
        result.arenaByteCount = max(homed + ring, min(visionBytes, room - residentBytes), least)
        guard result.byteCount(inventory) <= budget else { return nil }
        result.decoder = cycle(shared, ring: ring)
        result.vision = visionCycle(visionUnits, arena: result.arenaByteCount, ring: visionRing)
        return result
    }

    private static func keptTiles(_ inventory: WeightInventory) -> Int {
        let layout = inventory.segments[inventory.embedding].entry.tensors[0].layout
        return min(keptEmbeddingTiles, layout.tileCount)
    }

    private static func ringByteCount(_ largest: Int, room: Int) -> Int {
        if room >= 8 * largest { return 3 * largest }
        return room >= 2 * largest ? 2 * largest : largest
    }

    /// Positions of at least `atLeast` bytes in all, evenly spread over the order of use, so that reading
    /// goes on while what is held is used.
    private static func spread(_ sizes: [Int], atLeast needed: Int) -> Set<Int> {
        let total = sizes.reduce(0, +)
        var chosen: Set<Int> = []
        var seen = 0
        var taken = 0
        for (position, size) in sizes.enumerated() {
            seen += size
            // What the share of the sizes seen so far asks for, rounded to whole ones.
            if Double(seen) * Double(needed) / Double(total) - Double(taken) >= Double(size) / 2 {
                chosen.insert(position)
                taken += size
            }
        }
        for position in sizes.indices.sorted(by: { sizes[$0] < sizes[$1] })
        where taken < needed && !chosen.contains(position) {
            chosen.insert(position)
            taken += sizes[position]
        }
        return chosen
    }

    /// The ring at the arena's start, and behind it those that stay.
    private static func cycle(_ units: [(unit: WeightUnit, passes: Bool)], ring: Int) -> WeightCycle {
        var end = ring
        return WeightCycle(
            units: units.map(\.unit),
            homes: units.map { unit, passes in
                if passes { return nil }
                defer { end += unit.byteCount }
                return end
            }, ring: 0..<ring)
    }

    /// The tower keeps as many of its first units as the arena has room for.
    private static func visionCycle(_ units: [WeightUnit], arena: Int, ring: Int) -> WeightCycle {
        let total = units.reduce(0) { $0 + $1.byteCount }
        let passing = total > arena ? spread(units.map(\.byteCount), atLeast: total - (arena - ring)) : []
        return cycle(
            units.enumerated().map { ($1, passing.contains($0)) }, ring: passing.isEmpty ? 0 : ring)
    }
}
