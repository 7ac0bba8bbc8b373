//! The disk beside what decoding and prefill made of it, as `bench` prints it.

import Thimble

/// What a benchmark did with the disk that weights pass from. Shares are 0 to 1.
struct DiskFigures: Encodable {
    /// Of the disk by itself, in the median of `measurements`.
    var bytesPerSecond: Double
    /// One before each repetition, and one after the last.
    var measurements: [Double]
    /// Reads on their way at a time, at most.
    var readers: Int
    /// Whether they went past the system's cache of files.
    var readsDirectly: Bool
    var prefill: Stage?
    var decode: Stage?

    /// A stage of the median repetition.
    struct Stage: Encodable {
        /// Of the file, in the whole stage.
        var bytes: Int
        /// Of the disk's rate before and after it.
        var share: Double
        /// Reads on their way at a time, in the mean.
        var readsInFlight: Double
        /// Of the time in which nothing was asked of the disk.
        var idleShare: Double

        fileprivate init?(_ use: DiskUse, _ reads: [DiskUse.Reads], _ seconds: [Double]) {
            guard let share = use.share(of: reads, in: seconds) else { return nil }
            self.share = share
            bytes = reads.map(\.byteCount).median
            readsInFlight = reads.map(\.meanInFlight).median
            idleShare = reads.map(\.idleShare).median
        }
    }

    /// Nil where no weights passed.
    init?(_ result: BenchmarkResult) {
        guard let use = result.disk else { return nil }
        bytesPerSecond = use.medianBytesPerSecond
        measurements = use.bytesPerSecond
        readers = use.readerCount
        readsDirectly = use.readsDirectly
        prefill = Stage(use, use.prefill, result.prefillSeconds)
        decode = Stage(use, use.decode, result.decodeSeconds)
    }

    /// Lines for a person. `profiles`: how evenly the disk was kept busy, too.
    func lines(profiles: Bool) -> [String] {
        func gigabytes(_ rate: Double) -> String { (rate * 1e-9).fixed(2) }
        let spread = measurements.spread
        let way = readsDirectly ? "direct reads" : "reads by a cache that was asked to forget"
        let stages = [("prefill", prefill), ("decode", decode)].compactMap { name, stage in
            stage.map { (name, $0) }
        }
        let shares = stages.map { name, stage in "; \(name) uses \((stage.share * 100).fixed(0)) % of it" }
        var lines = [
            "disk          \(gigabytes(bytesPerSecond)) GB/s (\(gigabytes(spread.lowerBound)) to "
                + "\(gigabytes(spread.upperBound))) by \(readers) \(way)" + shares.joined()
        ]
        lines += stages.map { name, stage in
            let busy =
                profiles
                ? "; \(stage.readsInFlight.fixed(2)) reads on their way, none for "
                    + "\((stage.idleShare * 100).fixed(1)) % of the time" : ""
            return "\(name) reads".padded(to: 14) + "\(stage.bytes.asBytes) of the file\(busy)"
        }
        return lines
    }
}

extension String {
    /// With blanks behind it up to so many characters.
    fileprivate func padded(to count: Int) -> String {
        self + String(repeating: " ", count: max(0, count - self.count))
    }
}
