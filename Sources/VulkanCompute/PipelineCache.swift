//! What a driver has compiled, kept for the next start.

internal import CVulkan

/// A pipeline cache. Its data go in and out as bytes that say which driver made them.
@safe public struct PipelineCache: ~Copyable {
    private let device: VulkanDevice
    let handle: VkPipelineCache

    /// A cache that starts with what `saved` holds: bytes of `data()` of an earlier run. Bytes that are
    /// damaged, or another driver's, count as none: a driver need not survive them.
    public init(_ device: VulkanDevice, saved: [UInt8] = []) throws(VulkanError) {
        let content = Self.content(of: saved, for: device.physical.driverIdentity)
        var information = unsafe VkPipelineCacheCreateInfo()
        unsafe information.sType = VK_STRUCTURE_TYPE_PIPELINE_CACHE_CREATE_INFO
        var cache: VkPipelineCache?
        let result = unsafe content.withUnsafeBytes { bytes in
            unsafe information.initialDataSize = bytes.count
            unsafe information.pInitialData = bytes.baseAddress.map { unsafe UnsafeRawPointer($0) }
            return unsafe device.functions.pointee.vkCreatePipelineCache(
                device.handle, &information, nil, &cache)
        }
        try device.check(result, "vkCreatePipelineCache")
        self.device = device
        unsafe handle = cache!
    }

    deinit { unsafe device.functions.pointee.vkDestroyPipelineCache(device.handle, handle, nil) }

    /// Everything compiled so far, for `init(_:saved:)`.
    public func data() throws(VulkanError) -> [UInt8] {
        let functions = unsafe device.functions
        var count = 0
        try device.check(
            unsafe functions.pointee.vkGetPipelineCacheData(device.handle, handle, &count, nil),
            "vkGetPipelineCacheData")
        var content = [UInt8](repeating: 0, count: count)
        try device.check(
            unsafe functions.pointee.vkGetPipelineCacheData(device.handle, handle, &count, &content),
            "vkGetPipelineCacheData")
        content.removeLast(content.count - count)
        return Self.file(of: content, for: device.physical.driverIdentity)
    }

    private static let mark: [UInt8] = Array("thimble pipelines 1\n".utf8)

    /// The mark, the driver's identity, a checksum of both and the content, the content.
    static func file(of content: [UInt8], for identity: [UInt8]) -> [UInt8] {
        mark + identity + checksum(identity, content) + content
    }

    /// The content of a file whole, and made by the same driver; else nothing.
    static func content(of file: [UInt8], for identity: [UInt8]) -> [UInt8] {
        let start = mark.count + identity.count
        guard file.count > start + 8, file.starts(with: mark),
            file[mark.count..<start].elementsEqual(identity)
        else { return [] }
        let content = Array(file[(start + 8)...])
        return file[start..<start + 8].elementsEqual(checksum(identity, content)) ? content : []
    }

    /// FNV-1a, 64 bits: against damage, not against malice, for the file lies beside the user's others.
    private static func checksum(_ identity: [UInt8], _ content: [UInt8]) -> [UInt8] {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        for byte in identity { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        for byte in content { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
        return (0..<8).map { UInt8(truncatingIfNeeded: hash >> (8 * $0)) }
    }
}
