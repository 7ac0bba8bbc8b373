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

    /// What asking for a unit costs, in bytes that are read meanwhile: threads are woken, and the disk is
    /// asked. Measured.
    static let unitCost = 96 << 10

    /// What the disk has to do, in bytes.
    var reading: Int { stored + units * Self.unitCost }
    /// What the processor has to do, whatever has to be done with it, in bytes.
    var unpacked: Int { decompressed + copied }

    /// Bytes by which units of other sizes may cost more for sharing other blocks of the file.
    private static let roughBytes = 512 << 10

    /// Whether this costs no more than the other on any machine; or roughly, by an eighth and some blocks.
    /// Decompressing a byte never costs less than copying it.
    func isWithin(_ other: WeightTraffic, roughly: Bool = false) -> Bool {
        func isWithin(_ mine: Int, _ others: Int) -> Bool {
            mine <= others + (roughly ? others / 8 + Self.roughBytes : 0)
        }
        return isWithin(reading, other.reading) && isWithin(decompressed, other.decompressed)
            && isWithin(unpacked, other.unpacked)
    }

    /// What costs on every machine what `pick` makes of the costs of two, the greater or the less of them.
    func joined(_ other: WeightTraffic, _ pick: (Int, Int) -> Int) -> WeightTraffic {
        let (units, decompressed) = (pick(units, other.units), pick(decompressed, other.decompressed))
        return WeightTraffic(
            units: units, stored: pick(reading, other.reading) - units * Self.unitCost,
            decompressed: decompressed, copied: pick(unpacked, other.unpacked) - decompressed)
    }
}

extension WeightInventory {
    /// What bringing units costs.
    public func traffic(of units: some Sequence<WeightUnit>) -> WeightTraffic {
        units.reduce(WeightTraffic()) { sum, unit in
            sum + WeightTraffic(units: 1) + traffic(of: unit.segment, holding: [unit.codes, unit.scales])
        }
    }

    /// What bringing whole segments costs.
    public func traffic(ofSegments indices: some Sequence<Int>) -> WeightTraffic {
        indices.reduce(WeightTraffic()) { sum, index in
            sum + traffic(of: index, holding: [0..<segments[index].entry.imageByteCount])
        }
    }

    /// What bringing a segment's vectors costs, each block that some lie in once; and how many they are.
    func traffic(ofVectorsOf index: Int) -> (traffic: WeightTraffic, count: Int) {
        let vectors = segments[index].entry.tensors.filter { $0.kind == .vector }
        let bytes = vectors.map { $0.codesOffset..<$0.codesOffset + $0.codesByteCount }
        return (traffic(of: index, holding: bytes), vectors.count)
    }

    /// What bringing the blocks of a segment costs that hold something of the ranges, which rise in its raw
    /// image.
    func traffic(of index: Int, holding ranges: [Range<Int>]) -> WeightTraffic {
        let blocks = segments[index].blocks
        var traffic = WeightTraffic()
        var next = 0
        for range in ranges where !range.isEmpty {
            next = max(next, blocks.firstBlock(reaching: range.lowerBound))
            while next < blocks.count, blocks[next].imageOffset < range.upperBound {
                let block = blocks[next]
                traffic.stored += block.storedByteCount
                if block.isStoredRaw {
                    traffic.copied += block.rawByteCount
                } else {
                    traffic.decompressed += block.rawByteCount
                }
                next += 1
            }
        }
        return traffic
    }
}

extension [Segment.Block] {
    /// The first block that ends behind `offset`, by halving.
    fileprivate func firstBlock(reaching offset: Int) -> Int {
        var (low, high) = (0, count)
        while low < high {
            let middle = (low + high) / 2
            if self[middle].imageOffset + self[middle].rawByteCount > offset {
                high = middle
            } else {
                low = middle + 1
            }
        }
        return low
    }
}

extension WeightCycle {
    /// Bytes from the arena's start that this cycle's units come to lie in.
    private var reach: Int {
        zip(units, homes).reduce(ring.upperBound) { end, place in
            place.1.map { max(end, $0 + place.0.byteCount) } ?? end
        }
    }

    /// Bytes that may come while a unit of the ring is used: what reads have room for. All that there are
    /// where nothing passes.
    var ahead: Int {
        let largest = passing.map(\.byteCount).max() ?? 0
        return largest == 0 ? .max : ring.count - largest
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
        /// Bytes that may come while a unit is used, of tokens and of images.
        public var tokenAhead: Int
        public var imageAhead: Int

        /// Whether this brings no more than the other in any pass, and has as much room; or roughly so.
        func isWithin(_ other: Passes, roughly: Bool = false) -> Bool {
            func isAsMuch(_ mine: Int, _ others: Int) -> Bool { mine >= others - (roughly ? others / 8 : 0) }
            return token.isWithin(other.token, roughly: roughly)
                && first.isWithin(other.first, roughly: roughly)
                && afterImage.isWithin(other.afterImage, roughly: roughly)
                && image.isWithin(other.image, roughly: roughly)
                && isAsMuch(tokenAhead, other.tokenAhead) && isAsMuch(imageAhead, other.imageAhead)
        }

        /// The worse of both in everything.
        func worse(_ other: Passes) -> Passes { joined(other, worse: max, better: min) }
        /// The better of both in everything.
        func better(_ other: Passes) -> Passes { joined(other, worse: min, better: max) }

        /// What more of is worse is joined by `worse`, and the room to read ahead by `better`.
        private func joined(
            _ other: Passes, worse: (Int, Int) -> Int, better: (Int, Int) -> Int
        ) -> Passes {
            Passes(
                token: token.joined(other.token, worse), first: first.joined(other.first, worse),
                afterImage: afterImage.joined(other.afterImage, worse),
                image: image.joined(other.image, worse), tokenAhead: better(tokenAhead, other.tokenAhead),
                imageAhead: better(imageAhead, other.imageAhead))
        }
    }

    public func passes(_ inventory: WeightInventory) -> Passes {
        Passes(
            token: inventory.traffic(of: decoder.passing), first: inventory.traffic(of: decoder.units),
            afterImage: inventory.traffic(of: decoder.coming(after: vision)),
            image: inventory.traffic(of: vision.coming(after: decoder)), tokenAhead: decoder.ahead,
            imageAhead: vision.ahead)
    }
}
