//! Small things on their way to the device: written now, copied in the stream's order.

internal import VulkanCompute

/// Host memory that is written round and round. What a submission still reads is not written over.
///
/// A class, for filling one thing may ask to fill another.
final class StagingRing {
    private let buffer: DeviceBuffer
    private var position = 0
    /// Bytes ever taken, and how many of them nothing reads any more.
    private var taken = 0
    private var released = 0

    /// Bytes that fit at once.
    var byteCount: Int { buffer.byteCount }

    init(_ device: VulkanDevice, byteCount: Int) throws(VulkanError) {
        buffer = try DeviceBuffer(device, byteCount: byteCount, kind: .host)
    }

    /// The most that can be written at once: small enough that what is being filled is clear of what another
    /// fill inside takes.
    var mostAtOnce: Int { byteCount / 4 }

    /// Lends `count` bytes to be filled, then copies them to `offset` in `target`, after what the stream was
    /// asked before. Waits where the ring is full.
    ///
    /// Precondition: `count` is positive and not above `mostAtOnce`.
    func write<E: Error>(
        _ count: Int, to target: DeviceBuffer, at offset: Int, in stream: CommandStream,
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        precondition(count > 0 && count <= mostAtOnce)
        guard let mapped = unsafe buffer.mapped else { preconditionFailure("the host sees host memory") }
        // A run does not wrap: what is left at the end is skipped.
        if position + count > byteCount {
            taken += byteCount - position
            position = 0
        }
        makeRoom(count, in: stream)
        let start = position
        let size = (count + 15) / 16 * 16
        position += size
        taken += size
        try unsafe body(UnsafeMutableRawBufferPointer(rebasing: mapped[start..<start + count]))
        stream.copy(from: buffer, at: start, to: target, at: offset, byteCount: count)
    }

    /// Waits until `count` more bytes may be written. A fault of the stream shows at its next wait.
    private func makeRoom(_ count: Int, in stream: CommandStream) {
        guard taken + count - released > byteCount else { return }
        // Rare: everything that was taken is done once the stream is.
        stream.settle()
        released = taken
    }

    /// States that nothing that was taken is needed any more.
    func releaseAll() { released = taken }
}
