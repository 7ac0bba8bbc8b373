//! A device before it is opened: what it is, and whether it will do.

internal import CVulkan

/// A device that Vulkan shows.
@safe public final class PhysicalDevice {
    let instance: VulkanInstance
    let handle: VkPhysicalDevice
    let details: thimble_vulkan_description
    /// Its place in the driver's list.
    public let index: Int

    init(_ handle: VkPhysicalDevice, index: Int, of instance: VulkanInstance) throws(VulkanError) {
        self.instance = instance
        unsafe self.handle = handle
        self.index = index
        var details = thimble_vulkan_description()
        try VulkanError.check(
            unsafe thimble_vulkan_describe(instance.functions, handle, &details),
            "vkEnumerateDeviceExtensionProperties")
        self.details = details
    }

    /// As the driver calls it.
    public var name: String { string(details.properties.deviceName) }
    public var driverName: String { string(details.driver_name) }
    public var driverInformation: String { string(details.driver_info) }
    /// Of Vulkan: `1.3.230`.
    public var apiVersion: String {
        let version = details.properties.apiVersion
        return "\(version >> 22 & 0x7f).\(version >> 12 & 0x3ff).\(version & 0xfff)"
    }

    public enum Kind: String, Sendable {
        case discrete, integrated, virtual, cpu, other
    }
    public var kind: Kind {
        switch details.properties.deviceType {
        case VK_PHYSICAL_DEVICE_TYPE_DISCRETE_GPU: .discrete
        case VK_PHYSICAL_DEVICE_TYPE_INTEGRATED_GPU: .integrated
        case VK_PHYSICAL_DEVICE_TYPE_VIRTUAL_GPU: .virtual
        case VK_PHYSICAL_DEVICE_TYPE_CPU: .cpu
        default: .other
        }
    }

    /// A kind of memory. Bytes; budget and usage are nil where the driver does not say.
    public struct Heap: Sendable {
        public let byteCount: Int
        public let isDeviceLocal: Bool
        public let budget: Int?
        public let usage: Int?
    }
    public var heaps: [Heap] {
        let hasBudget = details.memory_budget
        return (0..<Int(details.memory.memoryHeapCount)).map { index in
            let heap = element(index, of: details.memory.memoryHeaps, as: VkMemoryHeap.self)
            let budget = element(index, of: details.heap_budget, as: UInt64.self)
            let usage = element(index, of: details.heap_usage, as: UInt64.self)
            return Heap(
                byteCount: Int(clamping: heap.size),
                isDeviceLocal: heap.flags & VkMemoryHeapFlags(VK_MEMORY_HEAP_DEVICE_LOCAL_BIT.rawValue) != 0,
                budget: hasBudget ? Int(clamping: budget) : nil,
                usage: hasBudget ? Int(clamping: usage) : nil)
        }
    }

    public var subgroupSize: Int { Int(details.subgroup_size) }
    /// Streaming multiprocessors, where an NVIDIA driver says how many.
    public var processorCount: Int? {
        let count = details.processor_count
        return count == 0 ? nil : Int(count)
    }
    /// Whether workgroups of a dispatch start only when all of the one before have started, barrier or not.
    /// Vulkan does not promise it; it is so on NVIDIA's own driver.
    public var startsWorkgroupsInOrder: Bool {
        details.properties.vendorID == 0x10de && driverName == "NVIDIA"
    }
    /// Whether cooperative matrices of float16 that sum in float32 have that shape, for a subgroup.
    public func hasMatrices(m: Int, n: Int, k: Int) -> Bool {
        guard hasCooperativeMatrix else { return false }
        // VK_COMPONENT_TYPE_FLOAT16_KHR and VK_COMPONENT_TYPE_FLOAT32_KHR
        let (half, single): (UInt32, UInt32) = (0, 1)
        return (0..<Int(details.matrix_shape_count)).contains { index in
            let shape = element(index, of: details.matrix_shapes, as: thimble_vulkan_matrix_shape.self)
            return shape.m == m && shape.n == n && shape.k == k && shape.factor == half && shape.sum == single
        }
    }
    /// Whether it can say when a command was done.
    public var hasClock: Bool { details.timestamp_bits > 0 }
    public var hasFloat16: Bool { details.float16 && details.storage16 }
    public var hasInt8: Bool { details.int8 && details.storage8 }
    public var hasIntegerDotProduct: Bool { details.integer_dot_product }
    public var hasCooperativeMatrix: Bool { details.cooperative_matrix }
    public var hasCooperativeMatrix2: Bool { details.cooperative_matrix2 }
    /// Whether cooperative matrices are worth using. A processor's driver has none in hardware, and takes
    /// minutes to compile its own.
    public var computesMatrices: Bool { hasCooperativeMatrix && kind != .cpu }
    /// Of one workgroup.
    public var sharedMemoryByteCount: Int {
        Int(details.properties.limits.maxComputeSharedMemorySize)
    }
    /// Tells devices apart, in hexadecimal.
    public var identifier: String {
        array(details.device_uuid).map { String($0 >> 4, radix: 16) + String($0 & 15, radix: 16) }.joined()
    }
    /// Identifies the driver's build: what a pipeline cache is good for.
    var driverIdentity: [UInt8] {
        var bytes = array(details.driver_uuid) + array(details.properties.pipelineCacheUUID)
        let properties = details.properties
        for number in [properties.vendorID, properties.deviceID, properties.driverVersion] {
            bytes += (0..<4).map { UInt8(truncatingIfNeeded: number >> (8 * $0)) }
        }
        return bytes
    }

    /// Why Thimble cannot use the device; nil where it can.
    public var rejection: String? {
        guard details.properties.apiVersion >= 0x0040_3000 else {
            return "it has Vulkan \(apiVersion); 1.3 is needed"
        }
        let needed: [(Bool, String)] = [
            (details.queue_family != UInt32.max, "a queue for compute"),
            (details.buffer_device_address, "buffer device addresses"),
            (details.timeline_semaphore, "timeline semaphores"),
            (details.scalar_layout, "scalar block layout"),
            (details.int64, "64-bit integers"), (details.int16, "16-bit integers"),
            (hasInt8, "8-bit integers"), (hasFloat16, "16-bit floats"),
            (details.integer_dot_product, "integer dot products"),
            (details.subgroup_size_control && details.full_subgroups, "control of the subgroup size"),
            (
                details.subgroup_operations & Self.neededOperations == Self.neededOperations,
                "subgroup arithmetic and shuffles"
            ),
        ]
        let missing = needed.filter { !$0.0 }.map(\.1)
        return missing.isEmpty ? nil : "it lacks " + missing.joined(separator: ", ")
    }

    private static let neededOperations = UInt32(
        VK_SUBGROUP_FEATURE_BASIC_BIT.rawValue | VK_SUBGROUP_FEATURE_VOTE_BIT.rawValue
            | VK_SUBGROUP_FEATURE_ARITHMETIC_BIT.rawValue | VK_SUBGROUP_FEATURE_BALLOT_BIT.rawValue
            | VK_SUBGROUP_FEATURE_SHUFFLE_BIT.rawValue)

    /// A device memory's type for a use; nil where no type has what is needed.
    func memoryType(among allowed: UInt32, with needed: VkMemoryPropertyFlagBits...) -> UInt32? {
        let flags = needed.reduce(UInt32(0)) { $0 | $1.rawValue }
        return (0..<details.memory.memoryTypeCount).first { index in
            let type = element(Int(index), of: details.memory.memoryTypes, as: VkMemoryType.self)
            return allowed & (1 << index) != 0 && type.propertyFlags & flags == flags
        }
    }

    /// The heap that a memory type takes from.
    func heap(ofType index: UInt32) -> Heap {
        let type = element(Int(index), of: details.memory.memoryTypes, as: VkMemoryType.self)
        return heaps[Int(type.heapIndex)]
    }
}

/// Element `index` of a C array, which Swift sees as a tuple.
private func element<Tuple, Element>(_ index: Int, of tuple: Tuple, as type: Element.Type) -> Element {
    unsafe withUnsafeBytes(of: tuple) {
        unsafe $0.loadUnaligned(fromByteOffset: index * MemoryLayout<Element>.stride, as: type)
    }
}

private func array<Tuple>(_ tuple: Tuple) -> [UInt8] {
    unsafe withUnsafeBytes(of: tuple) { unsafe Array($0) }
}

/// The text of a C array of characters.
private func string<Tuple>(_ tuple: Tuple) -> String {
    String(decoding: array(tuple).prefix { $0 != 0 }, as: UTF8.self)
}
