//! How fast a device reads its memory, and gets what the host has: the limits that decoding and loading are
//! held against.

internal import CShaders
internal import HostSystem
public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    /// By the device's own clock: the fastest of some passes. Nil where it has none.
    public func secondsToRead(_ memories: [any BackendMemory]) throws(BackendError) -> Double? {
        do throws(VulkanError) {
            guard device.physical.hasClock else { return nil }
            let timestamps = try Timestamps(device, capacity: Self.readPasses + 1)
            let sink = try DeviceBuffer(device, byteCount: 4)
            timestamps.reset(in: stream)
            timestamps.mark(in: stream)
            for _ in 0..<Self.readPasses {
                for memory in memories { read(deviceBuffer(memory), sink) }
                timestamps.mark(in: stream)
            }
            try stream.wait()
            let seconds = try timestamps.seconds()
            return zip(seconds, seconds.dropFirst()).map { $1 - $0 }.min()
        } catch { throw BackendError(error, doing: "while reading memory") }
    }

    /// The fastest of some copies, from memory of the kind that weights come through.
    public func secondsToCopy(byteCount: Int) throws(BackendError) -> Double? {
        if device.isDeviceMemoryMapped { return nil }
        do throws(VulkanError) {
            let host = try DeviceBuffer(device, byteCount: byteCount, kind: .host)
            return try secondsToCopy(host, to: DeviceBuffer(device, byteCount: byteCount))
        } catch { throw BackendError(error, doing: "while copying to the device") }
    }

    private func secondsToCopy(_ host: DeviceBuffer, to target: DeviceBuffer) throws(VulkanError) -> Double {
        var fastest = Duration.seconds(1 << 20)
        try wait()
        for _ in 0..<Self.readPasses {
            let start = Moment.now
            stream.copy(from: host, at: 0, to: target, at: 0, byteCount: host.byteCount)
            try wait()
            fastest = min(fastest, start.duration(to: Moment.now))
        }
        return fastest.seconds
    }

    private static var readPasses: Int { 4 }

    private func read(_ buffer: DeviceBuffer, _ sink: DeviceBuffer) {
        // A dispatch counts in 32 bits.
        let most = 1 << 34
        for start in stride(from: 0, to: buffer.byteCount, by: most) {
            let parameters = thimble_read_memory(
                x: buffer.address + UInt64(start), sink: sink.address,
                count: UInt32(min(most, buffer.byteCount - start) / 16))
            dispatch(
                "read_memory", workgroup: 256, parameters,
                groups: (4 * vectorTuning.residentGroups, 1, 1))
        }
    }
}
