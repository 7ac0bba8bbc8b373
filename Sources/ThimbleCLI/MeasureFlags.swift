//! `thimble devices --measure`: how fast this machine is, measured and kept.

import ArgumentParser
import Thimble

struct MeasureFlags: ParsableArguments {
    @Option(
        help:
            "Read the disk that this model file lies on (default: THIMBLE_MODEL, else the bundled model's).",
        completion: .file(extensions: ["thimble"]))
    var model: String?

    @Option(help: "Threads that compute (default: one a core; environment: THIMBLE_THREADS).")
    var threads: Int?

    @Option(help: ArgumentHelp("About how long to measure.", visibility: .hidden))
    var seconds: Double?

    /// Whether any of them is there.
    var isGiven: Bool { model != nil || threads != nil || seconds != nil }

    /// Measures, keeps the profile, and prints it.
    func run(json: Bool) throws {
        var options = MeasurementOptions()
        options.threadCount = try threads ?? Environment.threads()
        options.modelPath = model ?? Environment.model ?? DefaultModel.bundled
        if let seconds { options.seconds = seconds }
        var bar = ProgressBar("measuring", delay: .seconds(1))
        let profile = try MachineProfile.measure(options) { bar.show($0) }
        let path = try profile.store()
        let report = MachineReport(profile, path)
        if json { return try JSONLine.write(report) }
        try StandardStream.output.write(report.lines.map { $0 + "\n" }.joined())
    }
}

/// What `devices --measure` prints.
private struct MachineReport: Encodable {
    /// Where it is kept.
    var path: String
    var machine: MachineProfile

    init(_ profile: MachineProfile, _ path: String) {
        self.path = path
        machine = profile
    }

    var lines: [String] {
        var lines = [
            "processor      \(machine.processor), \(machine.kernels) kernels, "
                + machine.threadCount.of("thread")
        ]
        func row(_ name: String, _ text: String) {
            lines.append(name + String(repeating: " ", count: max(1, 15 - name.count)) + text)
        }
        if let memory = machine.weights.last {
            row(
                "memory",
                "\(memory.bytesPerSecond.asRate) as decoding reads \(memory.byteCount.asBytes) of weights")
        }
        if let cache = machine.weights.first, machine.weights.count > 1 {
            row("cache", "\(cache.bytesPerSecond.asRate) of \(cache.byteCount.asBytes)")
        }
        if let disk = machine.disk {
            let how = disk.isDirect ? "" : ", through the system's cache"
            row("disk", "\(disk.bytesPerSecond.asRate), device \(disk.device) of \(disk.path)\(how)")
        }
        if let decompression = machine.decompression { row("decompression", decompression.asRate) }
        let products = [
            ("4 bits", machine.fourBitProducts), ("8 bits", machine.eightBitProducts),
            ("floats", machine.floatProducts), ("attention", machine.attention128),
        ].compactMap { name, rate in rate.map { "\(($0 * 1e-9).fixed(1)) at \(name)" } }
        if !products.isEmpty {
            row("computing", products.joined(separator: ", ") + "; billions of multiply-adds a second")
        }
        if let gpu = machine.gpu {
            let rates = [
                gpu.deviceBytesPerSecond.map { "\($0.asRate) of its memory" },
                gpu.busBytesPerSecond.map { "\($0.asRate) from the host" },
            ].compactMap { $0 }
            row("gpu", ([gpu.title] + rates).joined(separator: ", "))
        }
        row("kept in", path)
        return lines.map(\.onOneLine)
    }
}
