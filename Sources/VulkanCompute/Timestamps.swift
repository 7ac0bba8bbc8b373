//! When commands were done, by the device's own clock.

internal import CVulkan

/// Times of moments in a stream of commands.
@safe public final class Timestamps {
    private let device: VulkanDevice
    private let pool: VkQueryPool
    /// How many moments can be marked.
    public let capacity: Int
    private var count = 0

    /// Throws `unavailable` where the device has no clock. Precondition: `capacity` is positive.
    public init(_ device: VulkanDevice, capacity: Int) throws(VulkanError) {
        precondition(capacity > 0)
        guard device.physical.details.timestamp_bits > 0 else {
            throw VulkanError(.unavailable, "\(device.physical.name) has no clock")
        }
        var information = unsafe VkQueryPoolCreateInfo()
        unsafe information.sType = VK_STRUCTURE_TYPE_QUERY_POOL_CREATE_INFO
        unsafe information.queryType = VK_QUERY_TYPE_TIMESTAMP
        unsafe information.queryCount = UInt32(capacity)
        var pool: VkQueryPool?
        try device.check(
            unsafe device.functions.pointee.vkCreateQueryPool(device.handle, &information, nil, &pool),
            "vkCreateQueryPool")
        self.device = device
        self.capacity = capacity
        unsafe self.pool = pool!
    }

    deinit { unsafe device.retire(.queries(pool)) }

    /// Forgets all moments.
    public func reset(in stream: CommandStream) {
        count = 0
        unsafe stream.reset(pool, count: UInt32(capacity))
    }

    /// Marks the moment when all commands so far are done; nothing once there is no more room.
    public func mark(in stream: CommandStream) {
        guard count < capacity else { return }
        unsafe stream.writeTimestamp(UInt32(count), of: pool)
        count += 1
    }

    /// Seconds from the first moment to each. The stream must have been waited for.
    public func seconds() throws(VulkanError) -> [Double] {
        guard count > 0 else { return [] }
        var ticks = [UInt64](repeating: 0, count: count)
        try device.check(
            unsafe device.functions.pointee.vkGetQueryPoolResults(
                device.handle, pool, 0, UInt32(count), count * 8, &ticks, 8,
                VkQueryResultFlags(VK_QUERY_RESULT_64_BIT.rawValue)), "vkGetQueryPoolResults")
        let bits = device.physical.details.timestamp_bits
        let period = Double(device.physical.details.properties.limits.timestampPeriod) * 1e-9
        let mask = bits >= 64 ? UInt64.max : (1 << UInt64(bits)) - 1
        return ticks.map { Double(($0 &- ticks[0]) & mask) * period }
    }
}
