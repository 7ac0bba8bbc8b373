//! What computes: for a person to read and for a measurement to record.

internal import CPUBackend
internal import VulkanCompute

/// A device that models may run on.
public struct DeviceDescription: Sendable, Equatable {
    /// The name that `DeviceChoice` takes: `cpu`, `vulkan:0`.
    public var name: String
    /// What it calls itself.
    public var title: String
    /// The set of kernels in use.
    public var kernels: String
    /// Threads that compute, or that load where a GPU computes.
    public var threadCount: Int
    /// The rest of what Vulkan says; nil for the CPU.
    public var vulkan: VulkanDescription?

    /// What Vulkan says of a device.
    public struct VulkanDescription: Sendable, Equatable {
        /// Its name and version.
        public var driver: String
        /// `discrete`, `integrated`, `virtual`, `cpu` or `other`.
        public var kind: String
        public var apiVersion: String
        public var heaps: [Heap]
        public var subgroupSize: Int
        public var hasFloat16: Bool
        public var hasInt8: Bool
        public var hasIntegerDotProduct: Bool
        public var hasCooperativeMatrix: Bool
        public var hasCooperativeMatrix2: Bool
        /// Why Thimble cannot use it; nil where it can.
        public var rejection: String?
    }

    /// A memory of a device. Bytes; nil where the driver does not say.
    public struct Heap: Sendable, Equatable {
        public var byteCount: Int
        public var isDeviceLocal: Bool
        /// What this process may use now.
        public var budget: Int?
        public var usage: Int?
    }

    /// The devices of this machine, the CPU first; those that cannot be used are among them, and say why.
    public static var available: [DeviceDescription] { list().devices }

    /// The devices, and why Vulkan shows none of them; nil where it shows one.
    public static func list() -> (devices: [DeviceDescription], vulkanFault: String?) {
        let threads = CoreCount.available
        let cpu = DeviceDescription(
            name: "cpu", title: "CPU", kernels: CPUBackend.variants.last ?? "scalar", threadCount: threads)
        do throws(VulkanError) {
            let devices = try VulkanAccess().open().devices()
            return (
                [cpu] + devices.map { DeviceDescription($0, threadCount: threads) },
                devices.isEmpty ? "no driver for Vulkan shows a device" : nil
            )
        } catch { return ([cpu], error.description) }
    }
}

extension DeviceDescription {
    init(_ device: PhysicalDevice, threadCount: Int) {
        name = "vulkan:\(device.index)"
        title = device.name
        kernels =
            !device.computesMatrices
            ? "plain" : device.hasCooperativeMatrix2 ? "cooperative matrix 2" : "cooperative matrix"
        self.threadCount = threadCount
        vulkan = VulkanDescription(
            driver: "\(device.driverName) \(device.driverInformation)", kind: device.kind.rawValue,
            apiVersion: device.apiVersion,
            heaps: device.heaps.map {
                Heap(
                    byteCount: $0.byteCount, isDeviceLocal: $0.isDeviceLocal, budget: $0.budget,
                    usage: $0.usage)
            },
            subgroupSize: device.subgroupSize, hasFloat16: device.hasFloat16, hasInt8: device.hasInt8,
            hasIntegerDotProduct: device.hasIntegerDotProduct,
            hasCooperativeMatrix: device.hasCooperativeMatrix,
            hasCooperativeMatrix2: device.hasCooperativeMatrix2, rejection: device.rejection)
    }
}
