//! Opens what a model shall run on.

internal import CPUBackend
internal import Tensors
internal import VulkanBackend
internal import VulkanCompute

/// A backend, and what to call it.
struct OpenDevice {
    let backend: any Backend
    let description: DeviceDescription

    /// Opens the device of that choice. Throws `noDevice` where there is none, or it cannot be used.
    init(_ choice: DeviceChoice, threadCount: Int) throws(ThimbleError) {
        switch choice {
        case .cpu:
            self.init(cpuThreads: threadCount)
        case .automatic:
            // A driver that computes on the CPU is slower than our kernels there.
            if let device = Self.vulkanDevices().first(where: { $0.kind != .cpu && $0.rejection == nil }),
                let opened = try? OpenDevice(device, threadCount: threadCount)
            {
                self = opened
            } else {
                self.init(cpuThreads: threadCount)
            }
        case .vulkan(let index):
            let devices: [PhysicalDevice]
            do { devices = try VulkanInstance().devices() } catch {
                throw ThimbleError(.noDevice, "no Vulkan: \(error); use cpu or auto")
            }
            if let index {
                guard devices.indices.contains(index) else {
                    throw ThimbleError(
                        .noDevice, "there is no vulkan:\(index); thimble devices lists what there is")
                }
                try self.init(devices[index], threadCount: threadCount)
            } else {
                guard
                    let device = devices.first(where: { $0.rejection == nil && $0.kind != .cpu })
                        ?? devices.first(where: { $0.rejection == nil })
                else { throw ThimbleError(.noDevice, "no Vulkan device can be used; thimble devices says why") }
                try self.init(device, threadCount: threadCount)
            }
        }
    }

    private init(cpuThreads: Int) {
        let backend = CPUBackend(threadCount: cpuThreads)
        self.backend = backend
        description = DeviceDescription(
            name: "cpu", title: "CPU", kernels: backend.variant, threadCount: backend.threadCount)
    }

    private init(_ device: PhysicalDevice, threadCount: Int) throws(ThimbleError) {
        do throws(VulkanError) {
            let opened = try VulkanDevice(device)
            backend = try VulkanBackend(opened, pipelines: PipelineStore.read(for: device))
        } catch {
            throw ThimbleError(.noDevice, "vulkan:\(device.index), \(device.name): \(error)")
        }
        description = DeviceDescription(device, threadCount: threadCount)
    }

    /// What Vulkan shows; nothing where there is no Vulkan.
    static func vulkanDevices() -> [PhysicalDevice] {
        guard let instance = try? VulkanInstance() else { return [] }
        return (try? instance.devices()) ?? []
    }

    /// Keeps what the driver has compiled for the next run. A cache that cannot be written costs only time.
    func savePipelines() {
        guard let vulkan = backend as? VulkanBackend, let data = try? vulkan.pipelineCache() else { return }
        PipelineStore.write(data, for: vulkan.device.physical)
    }
}
