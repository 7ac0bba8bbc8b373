//! How fast a device reads its memory: the limit that decoding is held against.

internal import CShaders
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
