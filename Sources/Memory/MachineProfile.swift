//! How fast a machine is, as it was measured there.

/// What was measured of a machine, on all the threads that were in use. Rates are of a second; nil where
/// nothing was measured.
public struct MachineProfile: Sendable, Equatable, Codable {
    /// The form of this type in files; another number is another form, and is not read.
    public static let currentVersion = 2

    /// How fast weights are gone through that are gone through again and again.
    public struct WeightRate: Sendable, Equatable, Codable {
        /// Bytes of all of them: a processor's caches hold the fewer ones.
        public var byteCount: Int
        /// As one row is multiplied by them.
        public var bytesPerSecond: Double

        public init(byteCount: Int, bytesPerSecond: Double) {
            self.byteCount = byteCount
            self.bytesPerSecond = bytesPerSecond
        }
    }

    /// Where a model file was read from.
    public struct Disk: Sendable, Equatable, Codable {
        /// The system's number of the device that the file system lies on: `254:0`.
        public var device: String
        /// The file that was read.
        public var path: String
        /// With as many reads in flight as a running model has.
        public var bytesPerSecond: Double
        /// With one read of a block of a model file at a time.
        public var aloneBytesPerSecond: Double
        /// Whether reads went past the system's cache of files.
        public var isDirect: Bool

        public init(
            device: String, path: String, bytesPerSecond: Double, aloneBytesPerSecond: Double, isDirect: Bool
        ) {
            self.device = device
            self.path = path
            self.bytesPerSecond = bytesPerSecond
            self.aloneBytesPerSecond = aloneBytesPerSecond
            self.isDirect = isDirect
        }
    }

    /// A GPU and its bus.
    public struct GPU: Sendable, Equatable, Codable {
        /// What it calls itself.
        public var title: String
        /// At which it reads its memory.
        public var deviceBytesPerSecond: Double?
        /// At which the host's memory goes to it; nil where both are one.
        public var busBytesPerSecond: Double?

        public init(title: String, deviceBytesPerSecond: Double?, busBytesPerSecond: Double?) {
            self.title = title
            self.deviceBytesPerSecond = deviceBytesPerSecond
            self.busBytesPerSecond = busBytesPerSecond
        }
    }

    public var version = currentVersion
    /// What the processor calls itself.
    public var processor: String
    /// The set of kernels in use.
    public var kernels: String
    /// Cores that there were.
    public var coreCount: Int
    /// Threads that computed.
    public var threadCount: Int
    /// When, in UTC as ISO 8601 has it.
    public var takenAt: String

    /// By the bytes gone through, the fewest first. The last is the memory's rate.
    public var weights: [WeightRate] = []
    /// Multiply-adds of many rows by weights of 4 bits; likewise the next two.
    public var fourBitProducts: Double?
    public var eightBitProducts: Double?
    /// By float16 or float32 weights.
    public var floatProducts: Double?
    /// Seconds that a layer takes for a channel of one of many rows beside products and attention: norms, and
    /// what prepares and ends products.
    public var channelSeconds: Double?
    /// Multiply-adds of attention with many queries, several heads of which share a key, in heads of 64
    /// channels; then the same in heads of 128, where there are fewer weights for as many multiply-adds.
    public var attention64: Double?
    public var attention128: Double?
    /// Multiply-adds of attention with many queries, each with keys of its own, as a vision tower has it.
    public var visionAttention: Double?
    /// Multiply-adds of the attention of a token that is decoded, whose one position several heads share the
    /// keys of, in heads of 64 channels and in heads of 128.
    public var tokenAttention64: Double?
    public var tokenAttention128: Double?
    /// Seconds that a decoder's layer takes for one row whatever its size.
    public var layerSeconds: Double?
    /// Bytes that come out of decompressing blocks, checked.
    public var decompression: Double?
    /// Bytes of blocks that are stored as they are, checked.
    public var checking: Double?
    public var disk: Disk?
    public var gpu: GPU?

    /// A profile without measurements.
    public init(processor: String, kernels: String, coreCount: Int, threadCount: Int, takenAt: String) {
        self.processor = processor
        self.kernels = kernels
        self.coreCount = coreCount
        self.threadCount = threadCount
        self.takenAt = takenAt
    }

    /// The most threads or cores, and the most sizes of weights, that a profile may name.
    private static let counts = 1...65_536
    private static let mostWeightRates = 64

    /// Whether every number is one that a measurement can give. What comes from a file need not be.
    public var isSound: Bool {
        let rates = [
            fourBitProducts, eightBitProducts, floatProducts, channelSeconds, attention64, attention128,
            visionAttention, tokenAttention64, tokenAttention128, layerSeconds, decompression, checking,
            disk?.bytesPerSecond, disk?.aloneBytesPerSecond,
            gpu?.deviceBytesPerSecond,
            gpu?.busBytesPerSecond,
        ]
        // Far beyond what any machine does, and far from overflow when multiplied.
        let sane = 1e-18...1e18
        return version == Self.currentVersion && Self.counts.contains(coreCount)
            && Self.counts.contains(threadCount) && weights.count <= Self.mostWeightRates
            && rates.allSatisfy { $0.map(sane.contains) ?? true }
            && weights.allSatisfy { $0.byteCount > 0 && sane.contains($0.bytesPerSecond) }
            && zip(weights, weights.dropFirst()).allSatisfy { $0.byteCount < $1.byteCount }
    }
}
