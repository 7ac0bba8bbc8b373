//! `thimble devices`: what a model could run on, and why not.

import ArgumentParser
import Thimble

struct DevicesCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "devices",
        abstract: "List what a model can run on.",
        discussion: """
            A device that cannot be used says why. The names are what --device takes.

            --measure takes about ten seconds to see how fast this machine computes, and reads memory and \
            the disk that the model lies on. What it finds is kept in \
            $XDG_CACHE_HOME/thimble/machine.json, or ~/.cache/thimble/machine.json, and thimble plan \
            predicts with it. The machine had better do nothing else meanwhile.

            Examples:
              thimble devices
              thimble devices --json
              thimble devices --measure --model model.thimble
            """)

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Measure this machine, and keep what is found for thimble plan.")
    var measure = false

    @OptionGroup(title: "Measuring") var measuring: MeasureFlags

    func validate() throws {
        if !measure && measuring.isGiven {
            throw ValidationError("--model, --threads and --seconds go with --measure")
        }
    }

    func run() throws {
        if measure { return try measuring.run(json: json) }
        let (devices, fault) = DeviceDescription.list()
        let report = DeviceReport(devices: devices.map(DeviceReport.Device.init), vulkanFault: fault)
        if json { return try JSONLine.write(report) }
        try StandardStream.output.write(report.lines.map { $0 + "\n" }.joined())
    }
}

/// What `devices` prints.
private struct DeviceReport: Encodable {
    struct Heap: Encodable {
        var bytes: Int
        var deviceLocal: Bool
        var budgetBytes: Int?
        var usedBytes: Int?
    }

    struct Device: Encodable {
        var name: String
        var title: String
        var kind: String
        var kernels: String
        var usable: Bool
        var rejection: String?
        var driver: String?
        var vulkanVersion: String?
        var heaps: [Heap]?
        var subgroupSize: Int?
        var float16: Bool?
        var int8: Bool?
        var integerDotProduct: Bool?
        var cooperativeMatrix: Bool?
        var cooperativeMatrix2: Bool?
        var threads: Int?

        init(_ device: DeviceDescription) {
            name = device.name
            title = device.title
            kernels = device.kernels
            guard let vulkan = device.vulkan else {
                kind = "cpu"
                usable = true
                threads = device.threadCount
                return
            }
            kind = vulkan.kind
            usable = vulkan.rejection == nil
            rejection = vulkan.rejection
            driver = vulkan.driver
            vulkanVersion = vulkan.apiVersion
            heaps = vulkan.heaps.map {
                Heap(
                    bytes: $0.byteCount, deviceLocal: $0.isDeviceLocal, budgetBytes: $0.budget,
                    usedBytes: $0.usage)
            }
            subgroupSize = vulkan.subgroupSize
            float16 = vulkan.hasFloat16
            int8 = vulkan.hasInt8
            integerDotProduct = vulkan.hasIntegerDotProduct
            cooperativeMatrix = vulkan.hasCooperativeMatrix
            cooperativeMatrix2 = vulkan.hasCooperativeMatrix2
        }
    }

    var devices: [Device]
    /// Why Vulkan shows no device.
    var vulkanFault: String?

    var lines: [String] {
        var lines = devices.flatMap { device -> [String] in
            var lines = ["\(device.name)  \(device.title)"]
            if let threads = device.threads {
                lines.append("  \(device.kernels) kernels, \(threads.of("thread"))")
                return lines
            }
            lines.append("  driver      \(device.driver ?? ""), Vulkan \(device.vulkanVersion ?? "")")
            for heap in device.heaps ?? [] {
                var line = "  memory      \(heap.bytes.asBytes), \(heap.deviceLocal ? "device" : "host")"
                if let budget = heap.budgetBytes { line += ", \(budget.asBytes) may be used" }
                lines.append(line)
            }
            if let rejection = device.rejection {
                lines.append("  not usable  \(rejection)")
            } else {
                lines.append("  kernels     \(device.kernels), subgroups of \(device.subgroupSize ?? 0)")
            }
            return lines
        }
        if let vulkanFault {
            lines.append("vulkan  no device: \(vulkanFault); install a Vulkan driver to use a GPU")
        }
        return lines.map(\.onOneLine)
    }
}
