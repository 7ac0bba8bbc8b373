//! `thimble bench`: how fast a model runs here.

import ArgumentParser
import Thimble

struct BenchCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "bench",
        abstract: "Measure prefill and decode speed.",
        discussion: """
            The median of the repetitions counts; one more is run before them and does not. Decoding is \
            held against what the same threads reach when they only read the weights, measured in the same \
            run. Loading is held against the slowest of its parts, each measured by itself over a part of \
            the file: reading from the disk past the system's cache, checking and decompressing on all \
            threads, and, on a GPU, copying to it. A file that the system had in memory may load faster \
            than the disk. Where weights pass from the file, the disk is measured before each repetition \
            and after the last: by the threads that bring weights, in the same direct reads, with nothing \
            else to do. What prefill and decoding read is held against that. With --image, vision is what \
            an image takes from its pixels to its visual tokens: of one alone, and with --images, of each \
            where several are encoded at once. As many of them go through the vision tower together as the \
            plan has room for, which the report says. With --ask-again the model is asked about the images \
            as far as to the first token of an answer, and then something else in a new session, which \
            finds what was made of the images and of the prompt.

            Examples:
              thimble bench model.thimble
              thimble bench model.thimble -p 128 -n 32 --threads 2 --json
              thimble bench model.thimble -p 0 -n 0 --image 588x840 --images 8
              thimble bench model.thimble -p 0 -n 0 --image 588x840 --images 8 --ask-again
            """)

    @Argument(help: "The model file.", completion: .file(extensions: ["thimble"]))
    var file: String

    @Option(name: [.customShort("p"), .customLong("prompt-tokens")], help: "Tokens of the prompt.")
    var promptTokens = 512

    @Option(name: [.customShort("n"), .customLong("generated-tokens")], help: "Tokens to generate.")
    var generatedTokens = 64

    @Option(name: .shortAndLong, help: "Tokens in the context before those.")
    var depth = 0

    @Option(help: "Encode an image of so many pixels, as 588x840, too.")
    var image: PixelSize?

    @Option(help: "Encode so many of those images at once, too.")
    var images = 1

    @Flag(help: "Ask about those images, and then another question in a new session.")
    var askAgain = false

    @Option(name: .shortAndLong, help: "How often to measure.")
    var repetitions = 3

    @Flag(
        help: """
            Say how long each kind of dispatch takes on a GPU, in a run of its own, and how busy the disk is.
            """)
    var profile = false

    @Flag(help: "Print one JSON object.")
    var json = false

    @OptionGroup var engineFlags: EngineFlags

    func validate() throws {
        guard promptTokens >= 0, generatedTokens >= 0, depth >= 0, repetitions > 0,
            promptTokens > 0 || generatedTokens > 0 || image != nil
        else {
            throw ValidationError(
                "-p, -n and -d must be 0 or more, -p and -n not both 0 without --image, and "
                    + "--repetitions 1 or more"
            )
        }
        guard images == 1 || images > 1 && image != nil else {
            throw ValidationError("--images must be 1 or more, and goes with --image")
        }
        guard image != nil || !askAgain else { throw ValidationError("--ask-again goes with --image") }
    }

    func run() throws {
        let engine = try engineFlags.load(file)
        var options = BenchmarkOptions()
        options.promptTokens = promptTokens
        options.generatedTokens = generatedTokens
        options.depth = depth
        options.imageSize = image.map { ($0.width, $0.height) }
        options.imageCount = images
        options.asksAgain = askAgain
        options.repetitions = repetitions
        options.profiles = profile
        let result = try engine.benchmark(options)
        // Before a sample of the file is taken into memory.
        let peakMemory = ProcessMemory.peak
        let report = BenchmarkReport(
            result, try engine.loadingRates(), engine: engine,
            bytes: try ModelInspection(modelPath: file).byteCount, peakMemory: peakMemory)
        if json { return try JSONLine.write(report) }
        try StandardStream.output.write(report.lines(profiles: profile).map { $0 + "\n" }.joined())
    }
}

/// Pixels of an image, written `WIDTHxHEIGHT`.
struct PixelSize: ExpressibleByArgument {
    let width: Int
    let height: Int

    init?(argument: String) {
        let parts = argument.split(separator: "x", omittingEmptySubsequences: false).map { Int($0) }
        guard parts.count == 2, let width = parts[0], let height = parts[1], width > 0, height > 0 else {
            return nil
        }
        (self.width, self.height) = (width, height)
    }
}

/// What `bench` prints.
private struct BenchmarkReport: Encodable {
    var model: String
    /// Of the model file.
    var bytes: Int
    var device: String
    var variant: String
    var threads: Int
    /// How keys and values were stored.
    var kv: String
    var promptTokens: Int
    var generatedTokens: Int
    /// Tokens in the context before those.
    var depth: Int
    var secondsPerImage: Double?
    /// Images encoded at once, and the most of them that went through the tower together.
    var images: Int?
    var imagesTogether: Int?
    /// Of each of those.
    var secondsPerImageOfBatch: Double?
    /// About those images, where asked for.
    var questions: QuestionFigures?
    var prefillSeconds: [Double]
    var decodeSeconds: [Double]
    var prefillTokensPerSecond: Double?
    var decodeTokensPerSecond: Double?
    /// Weights that every decoded token reads.
    var decodeWeightBytes: Int
    /// Of plain loads over those weights.
    var readBytesPerSecond: Double?
    /// Decoding's share of that, 0 to 1.
    var decodeBandwidthShare: Double?
    /// Where weights pass from the file.
    var disk: DiskFigures?
    var loadSeconds: Double
    /// Of the model file, as are the rates that follow.
    var loadBytesPerSecond: Double
    /// The lowest of the three after it.
    var loadBoundBytesPerSecond: Double
    /// Loading's share of that; above 1 where the system had the file in memory.
    var loadShare: Double
    var loadDiskBytesPerSecond: Double
    /// Whether the disk was read past the system's cache of files.
    var loadReadsDirectly: Bool
    var loadDecompressionBytesPerSecond: Double
    /// On a GPU only.
    var loadCopyBytesPerSecond: Double?
    var peakMemoryBytes: Int?
    /// Where asked for, on a GPU only: of the prompt's pass, of one token, of an image.
    var prefillProfile: [ProfileRow]?
    var decodeProfile: [ProfileRow]?
    var visionProfile: [ProfileRow]?

    init(
        _ result: BenchmarkResult, _ loading: LoadingRates, engine: Engine, bytes: Int, peakMemory: Int?
    ) {
        model = engine.description.name
        self.bytes = bytes
        device = engine.device.name
        variant = engine.device.kernels
        threads = engine.device.threadCount
        kv = engine.kvType.rawValue
        promptTokens = result.options.promptTokens
        generatedTokens = result.options.generatedTokens
        depth = result.options.depth
        secondsPerImage = result.secondsPerImage
        if let seconds = result.secondsPerImageOfBatch {
            secondsPerImageOfBatch = seconds
            images = result.options.imageCount
            imagesTogether = result.batchCount
        }
        questions = QuestionFigures(result.questions)
        prefillSeconds = result.prefillSeconds
        decodeSeconds = result.decodeSeconds
        prefillTokensPerSecond = result.prefillTokensPerSecond
        decodeTokensPerSecond = result.decodeTokensPerSecond
        decodeWeightBytes = result.decodeWeightByteCount
        readBytesPerSecond = result.readBytesPerSecond
        decodeBandwidthShare = result.decodeBandwidthShare
        disk = DiskFigures(result)
        loadSeconds = engine.loadSeconds
        loadBytesPerSecond = loading.bytesPerSecond
        loadBoundBytesPerSecond = loading.boundBytesPerSecond
        loadShare = loading.share
        loadDiskBytesPerSecond = loading.diskBytesPerSecond
        loadReadsDirectly = loading.readsDirectly
        loadDecompressionBytesPerSecond = loading.decompressionBytesPerSecond
        loadCopyBytesPerSecond = loading.copyBytesPerSecond
        peakMemoryBytes = peakMemory
        prefillProfile = ProfileRow.rows(result.prefillProfile)
        decodeProfile = ProfileRow.rows(result.decodeProfile)
        visionProfile = ProfileRow.rows(result.visionProfile)
    }

    /// For a person. `profiles`: how evenly the disk was kept busy, too.
    func lines(profiles: Bool) -> [String] {
        var lines = [
            "model         \(model), \(bytes.asBytes)",
            "device        \(device), \(variant) kernels, \(threads.of("thread"))",
            "keys, values  \(kv)",
        ]
        if let rate = prefillTokensPerSecond {
            lines.append("prefill       \(rate.fixed(1)) tokens/s over \(promptTokens.of("token"))")
        }
        if let rate = decodeTokensPerSecond {
            lines.append("decode        \(rate.fixed(1)) tokens/s over \(generatedTokens.of("token"))")
        }
        if let secondsPerImage {
            lines.append("vision        \((secondsPerImage * 1000).fixed(1)) ms an image")
        }
        if let secondsPerImageOfBatch, let images, let imagesTogether {
            lines.append(
                "vision batch  \((secondsPerImageOfBatch * 1000).fixed(1)) ms an image of \(images), "
                    + "\(imagesTogether) together")
        }
        lines += questions?.lines ?? []
        if let readBytesPerSecond {
            let share = decodeBandwidthShare.map { "; decode uses \(($0 * 100).fixed(0)) % of it" } ?? ""
            let rate = (readBytesPerSecond * 1e-9).fixed(1)
            lines.append("bandwidth     \(rate) GB/s reading the weights\(share)")
        }
        lines += disk?.lines(profiles: profiles) ?? []
        lines.append(
            "load          \(loadSeconds.fixed(2)) s, \(Self.rate(loadBytesPerSecond)) of the file; "
                + "\((loadShare * 100).fixed(0)) % of its slowest part")
        lines.append("load parts    " + loadParts.joined(separator: ", "))
        if let peakMemoryBytes { lines.append("peak memory   \(peakMemoryBytes.asBytes)") }
        let tables = [("prefill", prefillProfile), ("decode", decodeProfile), ("vision", visionProfile)]
        for (what, rows) in tables {
            lines += ProfileRow.table(rows ?? [], of: what)
        }
        return lines.map(\.onOneLine)
    }

    private var loadParts: [String] {
        var parts = [
            "disk \(Self.rate(loadDiskBytesPerSecond))"
                + (loadReadsDirectly ? "" : " (by a cache that was asked to forget)"),
            "decompression \(Self.rate(loadDecompressionBytesPerSecond))",
        ]
        if let loadCopyBytesPerSecond { parts.append("copying \(Self.rate(loadCopyBytesPerSecond))") }
        return parts
    }

    private static func rate(_ bytesPerSecond: Double) -> String {
        "\((bytesPerSecond * 1e-9).fixed(3)) GB/s"
    }
}
