//! How fast a machine is taken to be: as it was measured, else as it is stated, else as most machines are.

internal import Glibc

/// The rates that a plan is predicted with, and where they come from. Of a second, on the threads in use.
public struct MachineRates: Sendable, Equatable {
    /// Where a rate comes from.
    public enum Origin: String, Sendable, CaseIterable, Codable {
        /// From this machine, by `thimble devices --measure`.
        case measured
        /// From `[machine]` of the budget.
        case stated
        /// From nothing: see `Assumed`.
        case assumed
    }

    /// What is taken where nothing is known: a machine of little power, so that a prediction which rests on
    /// it promises little.
    public enum Assumed {
        /// Two channels of DDR4 as decoding reads them.
        public static let hostBandwidth = 15e9
        /// An SSD behind SATA.
        public static let diskBandwidth = 500e6
        /// The share of its rate that a disk has with one read at a time.
        public static let aloneShare = 0.5
        /// Four lanes of PCIe 4.
        public static let busBandwidth = 8e9
        /// Half of what a GPU with little memory has.
        public static let deviceBandwidth = 100e9
        /// Of one thread each.
        public static let decompression = 600e6
        public static let checking = 5e9
        public static let fourBitProducts = 15e9
        public static let eightBitProducts = 15e9
        public static let floatProducts = 8e9
        public static let attention = 8e9
        public static let tokenAttention = 8e9
        /// Seconds, the second of one thread.
        public static let layerSeconds = 50e-6
        public static let channelSeconds = 2e-9
    }

    /// Threads that compute.
    public let threadCount: Int
    /// Bytes of weights, by how many are gone through again and again; the fewest first, and never empty.
    public var weights: [MachineProfile.WeightRate]
    public var disk: Double
    /// The disk's with one read of a block at a time.
    public var diskAlone: Double
    /// At which the host's memory goes to a GPU, and a GPU reads its own.
    public var bus: Double
    public var device: Double
    public var decompression: Double
    public var checking: Double
    /// Multiply-adds.
    public var fourBitProducts: Double
    public var eightBitProducts: Double
    public var floatProducts: Double
    public var attention64: Double
    public var attention128: Double
    public var visionAttention: Double
    public var tokenAttention64: Double
    public var tokenAttention128: Double
    /// Seconds.
    public var layerSeconds: Double
    public var channelSeconds: Double

    public var memoryOrigin: Origin
    public var diskOrigin: Origin
    /// Of everything that the processor does beside reading weights.
    public var computingOrigin: Origin

    /// Rates for `threadCount` threads. What was measured counts before what is stated; a disk that was
    /// measured counts for files on the device `disk` only, nil being none that is known.
    ///
    /// Precondition: `measured` is sound, and `threadCount` positive.
    public init(
        measured: MachineProfile? = nil, stated: Budget.Machine = Budget.Machine(), threadCount: Int,
        disk device: String? = nil
    ) {
        precondition(threadCount > 0)
        self.threadCount = threadCount
        let threads = Double(threadCount)
        /// The share of the threads that were measured: a thread beyond the cores adds nothing.
        let share =
            measured.map { profile -> Double in
                let cores = profile.coreCount
                return Double(min(threadCount, cores)) / Double(min(profile.threadCount, cores))
            } ?? 1
        func rate(_ measured: Double?, _ assumed: Double) -> Double {
            measured.map { $0 * share } ?? assumed * threads
        }
        fourBitProducts = rate(measured?.fourBitProducts, Assumed.fourBitProducts)
        eightBitProducts = rate(measured?.eightBitProducts, Assumed.eightBitProducts)
        floatProducts = rate(measured?.floatProducts, Assumed.floatProducts)
        attention64 = rate(measured?.attention64, Assumed.attention)
        attention128 = rate(measured?.attention128, Assumed.attention)
        visionAttention = rate(measured?.visionAttention, Assumed.attention)
        tokenAttention64 = rate(measured?.tokenAttention64, Assumed.tokenAttention)
        tokenAttention128 = rate(measured?.tokenAttention128, Assumed.tokenAttention)
        decompression = rate(measured?.decompression, Assumed.decompression)
        checking = rate(measured?.checking, Assumed.checking)
        layerSeconds = measured?.layerSeconds ?? Assumed.layerSeconds
        channelSeconds = 1 / rate(measured?.channelSeconds.map { 1 / $0 }, 1 / Assumed.channelSeconds)
        computingOrigin = measured?.fourBitProducts == nil ? .assumed : .measured

        if let measured, !measured.weights.isEmpty {
            // Fewer threads may read less; more threads read what the memory gives.
            weights = measured.weights.map {
                MachineProfile.WeightRate(
                    byteCount: $0.byteCount, bytesPerSecond: $0.bytesPerSecond * min(share, 1))
            }
            memoryOrigin = .measured
        } else {
            weights = [
                MachineProfile.WeightRate(
                    byteCount: 1,
                    bytesPerSecond: stated.hostBandwidth.map { Double($0.bytes) } ?? Assumed.hostBandwidth)
            ]
            memoryOrigin = stated.hostBandwidth == nil ? .assumed : .stated
        }
        bus =
            measured?.gpu?.busBytesPerSecond ?? stated.busBandwidth.map { Double($0.bytes) }
            ?? Assumed.busBandwidth
        self.device =
            measured?.gpu?.deviceBytesPerSecond ?? stated.deviceBandwidth.map { Double($0.bytes) }
            ?? Assumed.deviceBandwidth
        if let measured = measured?.disk, measured.device == device {
            disk = measured.bytesPerSecond
            diskAlone = min(measured.aloneBytesPerSecond, disk)
            diskOrigin = .measured
        } else {
            disk = stated.diskBandwidth.map { Double($0.bytes) } ?? Assumed.diskBandwidth
            diskAlone = disk * Assumed.aloneShare
            diskOrigin = stated.diskBandwidth == nil ? .assumed : .stated
        }
    }

    /// Multiply-adds of attention a second in heads of so many channels, with many queries: between two sizes
    /// as far as it lies between them.
    public func attention(headSize: Int) -> Double {
        Self.between(attention64, attention128, headSize)
    }

    /// The same with the queries of one token.
    public func tokenAttention(headSize: Int) -> Double {
        Self.between(tokenAttention64, tokenAttention128, headSize)
    }

    private static func between(_ rate64: Double, _ rate128: Double, _ headSize: Int) -> Double {
        rate64 + (rate128 - rate64) * min(max(Double(headSize - 64) / 64, 0), 1)
    }

    /// Bytes of weights a second where `byteCount` bytes are gone through again and again: between two sizes
    /// that were measured, as far as it lies between their logarithms.
    public func weightRate(of byteCount: Int) -> Double {
        precondition(!weights.isEmpty)
        guard let after = weights.firstIndex(where: { $0.byteCount >= byteCount }) else {
            return weights[weights.count - 1].bytesPerSecond
        }
        guard after > 0 else { return weights[0].bytesPerSecond }
        let (low, high) = (weights[after - 1], weights[after])
        let place =
            log2(Double(byteCount) / Double(low.byteCount))
            / log2(Double(high.byteCount) / Double(low.byteCount))
        return low.bytesPerSecond + (high.bytesPerSecond - low.bytesPerSecond) * place
    }
}
