//! Opens what a model shall run on.

internal import CPUBackend
internal import Memory
internal import Tensors
internal import VulkanBackend
internal import VulkanCompute

/// This process's way into Vulkan, opened when it is first asked for and never left: a driver that is
/// unloaded leaves memory behind, and takes its time to start again.
private enum SystemVulkan {
    // Made once, and only read from then on.
    private nonisolated(unsafe) static let opened = Result { () throws(VulkanError) in
        try VulkanInstance()
    }

    static func open() throws(VulkanError) -> VulkanInstance { unsafe try opened.get() }
}

/// How to get at Vulkan: the system's, unless a test gives another.
struct VulkanAccess {
    var open: () throws(VulkanError) -> VulkanInstance = SystemVulkan.open
    var pipelines = PipelineStore()
}

/// The processor beside a GPU: its threads start when it is first asked for.
private final class ProcessorBeside {
    private let threadCount: Int
    private let ledger: Ledger
    private(set) lazy var backend = CPUBackend(threadCount: threadCount, account: ledger)

    init(_ threadCount: Int, _ ledger: Ledger) {
        self.threadCount = threadCount
        self.ledger = ledger
    }
}

/// A backend, and what to call it.
struct OpenDevice {
    let backend: any Backend
    private let beside: ProcessorBeside?

    /// The processor, for what a GPU has no room for; the backend itself where that is the processor.
    var host: any Backend { beside?.backend ?? backend }
    let description: DeviceDescription
    private let pipelines: PipelineStore
    private let vulkan: VulkanAccess

    /// Bytes of its own memory that may be taken; nil for the CPU.
    var availableByteCount: Int? { (backend as? VulkanBackend)?.device.availableByteCount }

    /// Bytes of its own memory that this process holds now; nil for the CPU, or where the driver does not
    /// say.
    var usedByteCount: Int? {
        guard let device = (backend as? VulkanBackend)?.device, let listing = try? vulkan.open().devices()
        else { return nil }
        return device.usedByteCount(in: listing)
    }

    /// Opens the device of that choice. Throws `noDevice` where there is none, or it cannot be used, and
    /// `outOfMemory`.
    init(
        _ choice: DeviceChoice, threadCount: Int, _ ledger: Ledger, vulkan: VulkanAccess
    ) throws(ThimbleError) {
        switch choice {
        case .cpu:
            self.init(cpuThreads: threadCount, ledger, vulkan)
        case .automatic:
            // A driver that computes on the CPU is slower than our kernels there.
            let devices = (try? vulkan.open().devices()) ?? []
            if let device = devices.first(where: { $0.kind != .cpu && $0.rejection == nil }),
                let opened = try? OpenDevice(device, threadCount: threadCount, ledger, vulkan)
            {
                self = opened
            } else {
                self.init(cpuThreads: threadCount, ledger, vulkan)
            }
        case .vulkan(let index):
            let devices: [PhysicalDevice]
            do throws(VulkanError) { devices = try vulkan.open().devices() } catch {
                throw ThimbleError(error, "no Vulkan")
            }
            if let index {
                guard devices.indices.contains(index) else {
                    throw ThimbleError(
                        .noDevice, "there is no vulkan:\(index); thimble devices lists what there is")
                }
                try self.init(devices[index], threadCount: threadCount, ledger, vulkan)
            } else {
                guard
                    let device = devices.first(where: { $0.rejection == nil && $0.kind != .cpu })
                        ?? devices.first(where: { $0.rejection == nil })
                else {
                    throw ThimbleError(.noDevice, "no Vulkan device can be used; thimble devices says why")
                }
                try self.init(device, threadCount: threadCount, ledger, vulkan)
            }
        }
    }

    private init(cpuThreads: Int, _ ledger: Ledger, _ vulkan: VulkanAccess) {
        let backend = CPUBackend(threadCount: cpuThreads, account: ledger)
        self.backend = backend
        beside = nil
        self.vulkan = vulkan
        pipelines = PipelineStore(folder: nil)
        description = DeviceDescription(
            name: "cpu", title: "CPU", kernels: backend.variant, threadCount: backend.threadCount)
    }

    private init(
        _ device: PhysicalDevice, threadCount: Int, _ ledger: Ledger, _ vulkan: VulkanAccess
    ) throws(ThimbleError) {
        self.vulkan = vulkan
        pipelines = vulkan.pipelines
        beside = ProcessorBeside(threadCount, ledger)
        do throws(VulkanError) {
            let opened = try VulkanDevice(device)
            backend = try VulkanBackend(
                opened, pipelines: pipelines.read(for: device.identifier), account: ledger)
        } catch {
            throw ThimbleError(error, "vulkan:\(device.index), \(device.name)")
        }
        description = DeviceDescription(device, threadCount: threadCount)
    }

    /// Keeps what the driver has compiled for the next run. A cache that cannot be written costs only time.
    func savePipelines() {
        guard let vulkan = backend as? VulkanBackend, let data = try? vulkan.pipelineCache() else { return }
        pipelines.write(data, for: vulkan.device.physical.identifier)
    }
}

extension ThimbleError {
    /// A fault while a device is opened; `subject` names it.
    fileprivate init(_ error: VulkanError, _ subject: String) {
        self.init(
            error.code == .outOfMemory ? .outOfMemory : .noDevice,
            "\(subject): \(error); use --device cpu or auto", deviceResult: error.result)
    }
}
