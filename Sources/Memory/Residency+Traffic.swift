//! What passes through a residency cost: bytes of the file that come, and what is done with them.

internal import ModelFile

/// Bytes that are brought into memory.
public struct WeightTraffic: Sendable, Equatable {
    /// Pieces that are waited for, one after the other.
    public var units = 0
    /// Of the file.
    public var stored = 0
    /// That come out of decompression.
    public var decompressed = 0
    /// That are stored as they are, and copied.
    public var copied = 0

    public init(units: Int = 0, stored: Int = 0, decompressed: Int = 0, copied: Int = 0) {
        self.units = units
        self.stored = stored
        self.decompressed = decompressed
        self.copied = copied
    }

    static func + (left: WeightTraffic, right: WeightTraffic) -> WeightTraffic {
        WeightTraffic(
            units: left.units + right.units, stored: left.stored + right.stored,
            decompressed: left.decompressed + right.decompressed, copied: left.copied + right.copied)
    }

    /// Whether this is no more than the other in any way.
    func isWithin(_ other: WeightTraffic) -> Bool {
        units <= other.units && stored <= other.stored && decompressed <= other.decompressed
            && copied <= other.copied
    }
}

extension WeightInventory {
    /// What bringing units costs.
    public func traffic(of units: some Sequence<WeightUnit>) -> WeightTraffic {
        units.reduce(WeightTraffic()) { sum, unit in
            sum + WeightTraffic(units: 1)
                + traffic(of: segments[unit.segment]) {
                    $0.overlaps(unit.codes) || $0.overlaps(unit.scales)
                }
        }
    }

    /// What bringing whole segments costs.
    public func traffic(ofSegments indices: some Sequence<Int>) -> WeightTraffic {
        indices.reduce(WeightTraffic()) { sum, index in sum + traffic(of: segments[index]) { _ in true } }
    }

    /// What bringing a segment's vectors costs, each by itself.
    func traffic(ofVectorsOf index: Int) -> WeightTraffic {
        let segment = segments[index]
        return segment.entry.tensors.reduce(WeightTraffic()) { sum, tensor in
            guard tensor.kind == .vector else { return sum }
            let bytes = tensor.codesOffset..<tensor.codesOffset + tensor.codesByteCount
            return sum + traffic(of: segment) { $0.overlaps(bytes) }
        }
    }

    /// What bringing the blocks of `segment` costs that hold certain bytes of its raw image.
    func traffic(of segment: Segment, where isNeeded: (Range<Int>) -> Bool) -> WeightTraffic {
        var traffic = WeightTraffic()
        for block in segment.blocks
        where isNeeded(block.imageOffset..<block.imageOffset + block.rawByteCount) {
            traffic.stored += block.storedByteCount
            if block.isStoredRaw {
                traffic.copied += block.rawByteCount
            } else {
                traffic.decompressed += block.rawByteCount
            }
        }
        return traffic
    }
}

extension WeightCycle {
    /// Bytes from the arena's start that this cycle's units come to lie in.
    private var reach: Int {
        zip(units, homes).reduce(ring.upperBound) { end, place in
            place.1.map { max(end, $0 + place.0.byteCount) } ?? end
        }
    }

    /// The units that a pass brings when `other` has had the arena since the last one.
    func coming(after other: WeightCycle) -> [WeightUnit] {
        let lost = other.reach
        return zip(units, homes).filter { $0.1.map { $0 < lost } ?? true }.map(\.0)
    }
}

extension Residency {
    /// What each kind of pass brings.
    public struct Passes: Sendable, Equatable {
        /// A token, or a chunk of a prompt, after another one.
        public var token: WeightTraffic
        /// The same after nothing: all that is not held from load on.
        public var first: WeightTraffic
        /// The same after an image.
        public var afterImage: WeightTraffic
        /// An image after tokens.
        public var image: WeightTraffic

        /// Whether this brings no more than the other in any pass.
        func isWithin(_ other: Passes) -> Bool {
            token.isWithin(other.token) && first.isWithin(other.first)
                && afterImage.isWithin(other.afterImage) && image.isWithin(other.image)
        }
    }

    public func passes(_ inventory: WeightInventory) -> Passes {
        Passes(
            token: inventory.traffic(of: decoder.passing), first: inventory.traffic(of: decoder.units),
            afterImage: inventory.traffic(of: decoder.coming(after: vision)),
            image: inventory.traffic(of: vision.coming(after: decoder)))
    }
}
