//! How near weights that pass from the file come to what their disk can do.

internal import HostSystem
internal import ModelFile
internal import Models

/// What reading the file did while a benchmark ran, beside what the disk does for the same reads when there
/// is nothing else to do.
public struct DiskUse: Sendable {
    /// What was read in a stage of a repetition.
    public struct Reads: Sendable {
        /// Of the file, with what was read ahead of the next stage.
        public var byteCount: Int
        /// On their way at a time, in the mean.
        public var meanInFlight: Double
        /// The share of the time in which nothing was asked of the disk, 0 to 1.
        public var idleShare: Double

        public init(byteCount: Int, meanInFlight: Double, idleShare: Double) {
            self.byteCount = byteCount
            self.meanInFlight = meanInFlight
            self.idleShare = idleShare
        }
    }

    /// Reads on their way at a time, at most.
    public var readerCount: Int
    /// Whether they went past the system's cache of files, as far as is known.
    public var readsDirectly: Bool
    /// Of the disk: one before each repetition, and one after the last.
    public var bytesPerSecond: [Double] = []
    /// One entry a repetition; likewise the next.
    public var prefill: [Reads] = []
    public var decode: [Reads] = []

    public init(readerCount: Int, readsDirectly: Bool) {
        self.readerCount = readerCount
        self.readsDirectly = readsDirectly
    }

    /// In the median measurement.
    public var medianBytesPerSecond: Double { bytesPerSecond.median }

    /// What `reads` brought in `seconds` beside the disk's rate before and after each, in the median
    /// repetition: 0 to 1, or above where the disk was slower while it was measured. Nil for nothing.
    public func share(of reads: [Reads], in seconds: [Double]) -> Double? {
        guard !reads.isEmpty, reads.count == seconds.count, bytesPerSecond.count == reads.count + 1
        else { return nil }
        let shares = reads.indices.map { index in
            let rate = (bytesPerSecond[index] + bytesPerSecond[index + 1]) / 2
            return Double(reads[index].byteCount) / seconds[index] / rate
        }
        return shares.median
    }
}

/// What a stage took, and what was read meanwhile.
struct Lap {
    let seconds: Double
    let reads: DiskUse.Reads
}

/// When a stage began, and what had been read of the file by then.
struct Mark {
    private var start: Moment
    private var before: ReadTally

    init(_ file: ModelFile) {
        before = file.reads.tally
        start = Moment.now
    }

    /// Ends the stage, and begins the next.
    mutating func lap(_ file: ModelFile) -> Lap {
        let (now, tally) = (Moment.now, file.reads.tally)
        let reads = tally - before
        defer { (start, before) = (now, tally) }
        return Lap(
            seconds: start.duration(to: now).seconds,
            reads: DiskUse.Reads(
                byteCount: reads.byteCount, meanInFlight: reads.meanInFlight, idleShare: reads.idleShare))
    }
}

extension Engine {
    /// Seconds of one measurement of the disk: several go round what passes, and their spread shows how
    /// steady it is.
    private static let diskSeconds = 0.5

    /// Measures the disk as weights that pass are read, where any do. Throws what reading may throw.
    func measureDisk(into use: inout DiskUse?) throws(ThimbleError) {
        let rate = try translating(path) { () throws(ModelError) in
            try model.diskBytesPerSecond(seconds: Self.diskSeconds)
        }
        guard let rate, let reads = model.passingReads else { return }
        var measured = use ?? DiskUse(readerCount: reads.count, readsDirectly: reads.areDirect)
        measured.bytesPerSecond.append(rate)
        measured.readsDirectly = reads.areDirect
        use = measured
    }
}
