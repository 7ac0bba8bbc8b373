//! What a model computes for a token, a prompt and an image, counted from its file.

internal import Glibc
public import ModelFile
public import Tensors

/// The work of a model. Everything is of one position, one patch or one image, whatever the machine.
public struct ModelWork: Sendable {
    /// Multiply-adds, by the form of the weights that they are with.
    public struct Products: Sendable, Equatable {
        public var fourBit = 0.0
        public var eightBit = 0.0
        public var floats = 0.0

        public init(fourBit: Double = 0, eightBit: Double = 0, floats: Double = 0) {
            self.fourBit = fourBit
            self.eightBit = eightBit
            self.floats = floats
        }

        mutating func add(_ tensor: TensorEntry) {
            let count = Double(tensor.rows) * Double(tensor.columns)
            switch tensor.format.type {
            case .q4: fourBit += count
            case .q8: eightBit += count
            case .f16, .f32: floats += count
            }
        }

        /// Seconds of that many rows.
        func seconds(_ rows: Int, on rates: MachineRates) -> Double {
            Double(rows)
                * (fourBit / rates.fourBitProducts + eightBit / rates.eightBitProducts
                    + floats / rates.floatProducts)
        }
    }

    /// What a vision tower computes.
    public struct Vision: Sendable, Equatable {
        /// Of a patch, through the blocks.
        public var patch: Products
        /// Of a visual token, through the merger.
        public var token: Products
        public var blockCount: Int
        /// Channels that attention compares.
        public var width: Int
        public var patchesPerToken: Int
    }

    /// Rows of the embedding as they are looked up.
    public struct Lookup: Sendable, Equatable {
        /// Tiles of the whole table.
        public var tileCount: Int
        /// What bringing one of them costs.
        public var traffic: WeightTraffic
        /// The codes, and the scales where formats have some.
        public var planes: [Plane]

        /// A part of the table that lies together in the file.
        public struct Plane: Sendable, Equatable {
            public var blockCount: Int
            /// What bringing all of it costs.
            public var traffic: WeightTraffic
        }

        /// What `count` rows from all over the table cost that are looked up together, each block of them
        /// once; and how many blocks that are, about.
        func together(_ count: Double) -> (traffic: WeightTraffic, blockCount: Double) {
            var (sum, blocks) = (WeightTraffic(), 0.0)
            for plane in planes {
                let all = Double(plane.blockCount)
                // The share of the blocks that some row lies in.
                let share = 1 - exp(count * log1p(-1 / max(all, 1 + 1e-9)))
                blocks += all * share
                sum.stored += Int((Double(plane.traffic.stored) * share).rounded(.up))
                sum.decompressed += Int((Double(plane.traffic.decompressed) * share).rounded(.up))
                sum.copied += Int((Double(plane.traffic.copied) * share).rounded(.up))
            }
            return (sum, blocks)
        }
    }

    public let inventory: WeightInventory
    /// Of a position, through the layers.
    public let layers: Products
    public let layerCount: Int
    /// Channels of the residual stream.
    public let hiddenSize: Int
    public let headSize: Int
    /// Channels of all queries of a position.
    public let queryWidth: Int
    /// Bytes of a position's keys and values in all layers.
    public let keyByteCount: Int
    public let lookup: Lookup
    /// Nil for a text-only model.
    public let vision: Vision?

    /// With keys and values stored as `kvType`. Precondition: every segment of the model's schema is there.
    public init(_ model: ModelOutline, kvType: KVType = .f16) {
        let inventory = WeightInventory(model)
        let text = model.configuration.text
        func products(_ indices: some Sequence<Int>) -> Products {
            var products = Products()
            for index in indices {
                for tensor in inventory.segments[index].entry.tensors where tensor.kind == .matrix {
                    products.add(tensor)
                }
            }
            return products
        }
        self.inventory = inventory
        layers = products(inventory.decoder.dropLast())
        layerCount = text.layerCount
        hiddenSize = text.hiddenSize
        headSize = text.headSize
        queryWidth = text.headCount * text.headSize
        keyByteCount =
            PagedKV.pageByteCount(
                type: kvType, kvHeads: text.kvHeadCount, headSize: text.headSize, pageTokens: 1)
            * text.layerCount
        lookup = inventory.lookup
        vision = model.configuration.vision.map { vision in
            Vision(
                patch: products(inventory.vision.dropLast()),
                token: products(inventory.vision.suffix(1)), blockCount: vision.depth,
                width: vision.hiddenSize, patchesPerToken: vision.mergeSize * vision.mergeSize)
        }
    }
}

extension WeightInventory {
    /// Tiles that the mean is taken over.
    private static let lookupSamples = 32

    /// The mean over tiles from everywhere in the table.
    fileprivate var lookup: ModelWork.Lookup {
        let matrix = segments[embedding].entry.tensors[0]
        let layout = matrix.layout
        let count = min(layout.tileCount, Self.lookupSamples)
        var sum = WeightTraffic()
        for sample in 0..<count {
            let tile = sample * layout.tileCount / count
            let codes = matrix.codesOffset + tile * layout.tileByteCount
            var ranges = [codes..<codes + layout.tileByteCount]
            if let plane = matrix.scalesOffset {
                let scales = plane + tile * layout.tileScalesByteCount
                ranges.append(scales..<scales + layout.tileScalesByteCount)
            }
            sum = sum + traffic(of: embedding, holding: ranges)
        }
        let scales = matrix.scalesOffset.map { $0..<$0 + matrix.scalesByteCount }
        let planes = [matrix.codesOffset..<matrix.codesOffset + matrix.codesByteCount, scales ?? 0..<0]
        return ModelWork.Lookup(
            tileCount: layout.tileCount,
            traffic: WeightTraffic(
                stored: sum.stored / count, decompressed: sum.decompressed / count,
                copied: sum.copied / count),
            planes: planes.filter { !$0.isEmpty }.map { bytes in
                ModelWork.Lookup.Plane(
                    blockCount: blockCount(of: embedding, holding: bytes),
                    traffic: traffic(of: embedding, holding: [bytes]))
            })
    }

    /// Blocks of a segment that hold something of `bytes` of its raw image.
    private func blockCount(of index: Int, holding bytes: Range<Int>) -> Int {
        segments[index].blocks.count {
            ($0.imageOffset..<$0.imageOffset + $0.rawByteCount).overlaps(bytes)
        }
    }
}
