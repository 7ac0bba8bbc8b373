//! `thimble convert`: checkpoints to model files.

public import ArgumentParser
internal import HostSystem
public import Thimble

extension WeightChoice: ExpressibleByArgument {}

struct ConvertCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "convert",
        abstract: "Make a model file from a checkpoint folder.",
        discussion: """
            The folder is as HuggingFace has it: config.json, safetensors, tokenizer.json. Head, embedding \
            and vision stay at 8 bits with --weights q4 unless --sensitive says otherwise.

            Examples:
              thimble convert Glyph -o glyph.thimble
              thimble convert Glyph -o glyph.thimble --weights q4 --group 64
              thimble convert Glyph -o glyph.thimble --page-settings config_en.json
              thimble convert --random config.json -o random.thimble --seed 7
            """)

    @Argument(help: "The checkpoint's folder.", completion: .directory)
    var folder: String?

    @Option(name: .shortAndLong, help: "The model file to write.", completion: .file(extensions: ["thimble"]))
    var output: String

    @Option(help: "How weights are stored.")
    var weights: WeightChoice = .q4

    @Option(help: "Weights that share a scale: 32, 64 or 128.")
    var group = 32

    @Option(help: "How head, embedding and vision are stored (default: q8 with q4, else as --weights).")
    var sensitive: WeightChoice?

    @Option(
        help: "Page settings (Glyph's JSON) to put into the file.", completion: .file(extensions: ["json"]))
    var pageSettings: String?

    @Option(help: "The model's name.")
    var name: String?

    @Option(help: "The licence of the weights.")
    var licence: String?

    @Option(
        help: "Instead of a folder: random weights of the shape that a config.json gives.",
        completion: .file(extensions: ["json"]))
    var random: String?

    @Option(help: "Seed of the random weights.")
    var seed: UInt64?

    @Flag(help: "Print time, threads and memory to standard error.")
    var stats = false

    @Option(help: "Threads that work (default: one a core; environment: THIMBLE_THREADS).")
    var threads: Int?

    func validate() throws {
        if (folder == nil) == (random == nil) {
            throw ValidationError("give either a folder or --random CONFIG.json")
        }
        if seed != nil && random == nil { throw ValidationError("--seed goes with --random") }
        if ![32, 64, 128].contains(group) {
            throw ValidationError("--group is \(group); it must be 32, 64 or 128")
        }
        if let threads, !(1...1024).contains(threads) {
            throw ValidationError("--threads is \(threads); it must be in 1...1024")
        }
    }

    func run() throws {
        var options = ConversionOptions()
        options.weights = weights
        options.group = group
        options.sensitiveWeights = sensitive
        options.pageSettings = pageSettings
        options.name = name
        options.licence = licence
        options.threadCount = try threads ?? Environment.threads()
        let source = source
        let start = Moment.now
        let report = try Interrupt.awaited { () throws(ThimbleError) in
            var bar = ProgressBar("convert")
            return try convert(
                source, to: output, options,
                progress: { done, total, tensor in
                    let share = total > 0 ? Double(done) / Double(total) : 0
                    bar.show(share, "\(done.asBytes) of \(total.asBytes) \(tensor)")
                }, shouldStop: { Interrupt.isPending })
        }
        for note in report.notes { StandardStream.note("note: \(note)") }
        StandardStream.note("\(output): \(report.byteCount.asBytes), \(report.tensorCount.of("tensor"))")
        if stats { showStats(report, start.duration(to: .now) / .seconds(1)) }
    }

    private func showStats(_ report: ConversionReport, _ seconds: Double) {
        let speed = Int(Double(report.byteCount) / max(seconds, 0.001)).asBytes
        let memory = ProcessMemory.peak.map { ", peak memory \($0.asBytes)" } ?? ""
        StandardStream.note(
            "\(seconds.fixed(1)) s, \(speed)/s on \(report.threadCount.of("thread"))\(memory)")
    }

    private var source: ConversionSource {
        if let random { return .random(configuration: random, seed: seed ?? 0) }
        return .folder(folder ?? "")
    }
}
