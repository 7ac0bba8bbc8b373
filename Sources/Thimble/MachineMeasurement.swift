//! Measures this machine: what `thimble devices --measure` keeps, and plans are predicted with.

internal import CPUBackend
internal import HostSystem
public import Memory
internal import ModelFile
internal import Tensors

/// How a machine is measured.
public struct MeasurementOptions: Sendable {
    /// Threads that compute; nil takes one a core.
    public var threadCount: Int?
    /// The model file whose disk is read; nil writes a file into the cache folder for that.
    public var modelPath: String?
    /// About how long it takes. Less measures less exactly.
    public var seconds = 10.0

    public init() {}
}

extension MachineProfile {
    /// Measures this machine, which had better do nothing else meanwhile. `progress` hears the share that is
    /// done.
    ///
    /// Throws `invalidArgument` for a number of threads or seconds that cannot be, `outOfMemory`, what a
    /// model file may throw, and `cannotCreate` where there is no place for a file to read.
    public static func measure(
        _ options: MeasurementOptions = MeasurementOptions(), progress: (Double) -> Void = { _ in }
    ) throws(ThimbleError) -> MachineProfile {
        try measure(options, in: CacheFolder.path(), progress: progress)
    }

    static func measure(
        _ options: MeasurementOptions, in folder: String?, progress: (Double) -> Void = { _ in }
    ) throws(ThimbleError) -> MachineProfile {
        var engineOptions = EngineOptions()
        engineOptions.threadCount = options.threadCount
        let threads = try Engine.threadCount(engineOptions)
        guard (0.01...600).contains(options.seconds) else {
            throw ThimbleError(.invalidArgument, "\(options.seconds) seconds; it must be in 0.01...600")
        }
        let backend = CPUBackend(threadCount: threads)
        var profile = MachineProfile(
            processor: processorName, kernels: backend.variant, coreCount: CoreCount.available,
            threadCount: backend.threadCount, takenAt: CalendarTime.iso8601(CalendarTime.now))
        let files = try SampleFiles(options.modelPath, in: folder, isQuick: options.seconds < 1)
        var measurement = try Measurement(files, backend, seconds: options.seconds)
        try measurement.run(progress)
        try measurement.fill(&profile)
        profile.gpu = measureGPU(threads)
        precondition(profile.isSound, "a measurement gives \(profile)")
        return profile
    }

    /// The first GPU that can be used; nil where there is none, or it answers nothing.
    private static func measureGPU(_ threadCount: Int) -> GPU? {
        guard
            let opened = try? OpenDevice(
                .automatic, threadCount: threadCount, Ledger(), vulkan: VulkanAccess()),
            let available = opened.availableByteCount
        else { return nil }
        let byteCount = min(Measurement.mostBytes, available / 8)
        guard byteCount > 0,
            let memory = try? opened.backend.makeMemory(
                byteCount: byteCount, label: "a measurement", use: .weights)
        else { return nil }
        func rate(_ seconds: Double?) -> Double? { seconds.map { Double(byteCount) / max($0, 1e-9) } }
        return GPU(
            title: opened.description.title,
            deviceBytesPerSecond: rate(try? opened.backend.secondsToRead([memory])),
            busBytesPerSecond: rate(try? opened.backend.secondsToCopy(byteCount: byteCount)))
    }
}

/// What is timed, each several times in turn: what disturbs a machine for a while then disturbs a few rounds
/// of everything, and not all of something.
private struct Measurement {
    /// The largest memory that is read, in bytes: more than caches hold.
    static let mostBytes = 256 << 20
    private static let roundCount = 5

    /// Something that takes time.
    private struct Case {
        /// Units that a run does.
        let work: Double
        let run: () -> Void
        /// Seconds of a run, in the mean of each slice of the time that it had.
        var seconds: [Double] = []

        init(_ work: Double, _ run: @escaping () -> Void) {
            self.work = work
            self.run = run
        }

        var median: Double { seconds.median }
        var rate: Double { work / median }
    }

    private let files: SampleFiles
    private let threadCount: Int
    /// Seconds for each case of a round.
    private let patience: Double

    private var weights: [(byteCount: Int, layerCount: Int, timed: Case)] = []
    /// One row through a layer whose weights take no time.
    private var layer: Case
    /// Many rows through a layer of 4 bits, 8 bits, float16; the sample says what a layer is.
    private var products: [(layer: LayerSample, timed: Case)] = []
    private var narrow: (layer: LayerSample, timed: Case)
    /// In heads of 64 and of 128 channels, of a vision tower, and of one token's queries in heads of 64 and
    /// of 128 channels.
    private var attention: [Case] = []
    private var (disk, diskAlone): ([Double], [Double]) = ([], [])
    private var (decompression, checking): ([Double], [Double]) = ([], [])

    private static let (rows, quickRows) = (128, 16)
    /// Reads in flight, at least: as many as a running model has.
    private static let leastReads = 4
    /// A disk takes so many times as long as what the processor does: its rate changes from second to second.
    private static let (diskShare, diskAloneShare) = (4.0, 2.0)

    init(_ files: SampleFiles, _ backend: CPUBackend, seconds: Double) throws(ThimbleError) {
        self.files = files
        threadCount = backend.threadCount
        let isQuick = seconds < 1
        let most = min(Self.mostBytes, MemorySize.available / 8) / (isQuick ? 8 : 1)
        let rows = isQuick ? Self.quickRows : Self.rows
        do throws(BackendError) {
            for shift in [6, 4, 2, 0] {
                let sample = try LayerSample(.narrow, rows: 1, byteCount: most >> shift, on: backend)
                let byteCount = sample.layerCount * sample.shape.byteCount
                weights.append((byteCount, sample.layerCount, Case(Double(byteCount), sample.run)))
            }
            let least = try LayerSample(.least, rows: 1, byteCount: 0, on: backend)
            layer = Case(1, least.run)
            func many(_ shape: LayerSample.Shape) throws(BackendError) -> (LayerSample, Case) {
                let sample = try LayerSample(shape, rows: rows, byteCount: 0, on: backend)
                return (sample, Case(Double(rows * shape.products), sample.run))
            }
            narrow = try many(.narrow)
            for format in [WeightFormat.q4(group: 32), .q8(group: 32), .f16] {
                products.append(try many(.usual(format)))
            }
            for headSize in [64, 128] {
                let sample = try AttentionSample(
                    rows: rows, length: 1024, heads: 16, kvHeads: 2, headSize: headSize, isCausal: true,
                    layerCount: 1, on: backend)
                attention.append(Case(sample.products, sample.run))
            }
            let image = try AttentionSample(
                rows: 512, length: 512, heads: 6, kvHeads: 6, headSize: 64, isCausal: false, layerCount: 1,
                on: backend)
            attention.append(Case(image.products, image.run))
            for headSize in [64, 128] {
                // What layers hold together passes the nearer caches.
                let token = try AttentionSample(
                    rows: 1, length: 1024, heads: headSize / 8, kvHeads: 2, headSize: headSize,
                    isCausal: true, layerCount: 16, on: backend)
                attention.append(Case(token.products, token.run))
            }
        } catch { throw ThimbleError(.outOfMemory, "measuring: \(error.message)") }
        let cases =
            Double(weights.count + products.count + attention.count + 4) + Self.diskShare
            + Self.diskAloneShare
        patience = seconds / (Double(Self.roundCount) * cases)
    }

    mutating func run(_ progress: (Double) -> Void) throws(ThimbleError) {
        for round in 0..<Self.roundCount {
            for index in weights.indices { time(&weights[index].timed) }
            time(&layer)
            time(&narrow.timed)
            for index in products.indices { time(&products[index].timed) }
            for index in attention.indices { time(&attention[index]) }
            try timeFiles()
            progress(Double(round + 1) / Double(Self.roundCount))
        }
    }

    /// Seconds of a slice: as long as an answer's tokens take that a benchmark times together.
    private static let slice = 0.02

    /// As many runs as there is patience for, after one that does not count, in slices. Of a slice the mean
    /// counts, for a token's many short loops meet whatever disturbs a machine again and again, which a
    /// median would leave out; and of all slices the median, which leaves out what comes now and then.
    private func time(_ timed: inout Case) {
        timed.run()
        let start = Moment.now
        var (sliceStart, now) = (start, start)
        repeat {
            var count = 0
            var seconds = 0.0
            repeat {
                timed.run()
                count += 1
                now = Moment.now
                seconds = sliceStart.duration(to: now).seconds
            } while seconds < min(Self.slice, patience)
            timed.seconds.append(seconds / Double(count))
            sliceStart = now
        } while start.duration(to: now).seconds < patience
    }

    private mutating func timeFiles() throws(ThimbleError) {
        let readCount = max(threadCount, Self.leastReads)
        disk.append(
            try translating { () throws(ModelFileError) in
                try files.disk.bytesPerSecond(seconds: patience * Self.diskShare, readCount: readCount)
            })
        diskAlone.append(
            try translating { () throws(ModelFileError) in
                try files.disk.bytesPerSecond(
                    seconds: patience * Self.diskAloneShare, readCount: 1, ofBlocks: true)
            })
        let packed = try sample(files.packed)
        decompression.append(Double(files.rawByteCount) / packed.decompressionSeconds)
        let plain = try sample(files.plain)
        checking.append(Double(files.rawByteCount) / plain.decompressionSeconds)
    }

    private func sample(_ file: ModelFile) throws(ThimbleError) -> LoadingSample {
        let threadCount = self.threadCount
        return try translating { () throws(ModelFileError) in
            try file.sampleLoading(byteCount: file.byteCount, threadCount: threadCount)
        }
    }

    /// Seconds of a row's channel beside products. A layer that is a quarter as wide has about a sixteenth of
    /// the products, so that two layers tell both.
    private var channelSeconds: Double {
        let (wide, narrow) = (products[0], self.narrow)
        let ratio = wide.timed.work / narrow.timed.work
        let channels = ratio * Double(narrow.layer.channels) - Double(wide.layer.channels)
        let measured = (ratio * narrow.timed.median - wide.timed.median) / channels
        // More than nothing, and less than half of any layer's time: what is disturbed may say otherwise.
        let most = (products.map(\.timed.median).min() ?? 0) / Double(wide.layer.channels) / 2
        return min(max(measured, most / 100), most)
    }

    func fill(_ profile: inout MachineProfile) throws(ThimbleError) {
        let layerSeconds = layer.median
        profile.layerSeconds = layerSeconds
        for (byteCount, layerCount, timed) in weights
        // Small memories all have a layer.
        where byteCount > profile.weights.last?.byteCount ?? 0 {
            // At least half of the time is the bytes': where a layer takes longer, nothing is learnt of them.
            let fixed = min(layerSeconds * Double(layerCount), timed.median / 2)
            profile.weights.append(
                MachineProfile.WeightRate(
                    byteCount: byteCount, bytesPerSecond: Double(byteCount) / (timed.median - fixed)))
        }
        let channelSeconds = self.channelSeconds
        profile.channelSeconds = channelSeconds
        func rate(_ sample: (layer: LayerSample, timed: Case)) -> Double {
            sample.timed.work / (sample.timed.median - Double(sample.layer.channels) * channelSeconds)
        }
        (profile.fourBitProducts, profile.eightBitProducts, profile.floatProducts) =
            (rate(products[0]), rate(products[1]), rate(products[2]))
        (profile.attention64, profile.attention128) = (attention[0].rate, attention[1].rate)
        profile.visionAttention = attention[2].rate
        (profile.tokenAttention64, profile.tokenAttention128) = (attention[3].rate, attention[4].rate)
        profile.decompression = decompression.median
        profile.checking = checking.median
        profile.disk = MachineProfile.Disk(
            device: try files.device, path: files.diskPath, bytesPerSecond: disk.median,
            aloneBytesPerSecond: diskAlone.median,
            isDirect: files.disk.isDirect)
    }
}
