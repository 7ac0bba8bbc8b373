//! The way of bytes to a device beside what it computes.

internal import VulkanCompute

/// Copies beside the stream of commands, and the host's memory that they come through: written round and
/// round, each run of it once what was there has gone.
///
/// The memory is made with the first thing that comes through it, and stays: memory that a device reaches
/// takes long to make. It is less than what loading had for the same, and has given back.
final class AsideWay {
    let stream: CopyStream
    private let device: VulkanDevice
    private var ring: DeviceBuffer?
    private var position = 0
    /// Bytes ever taken, and how many of them nothing reads any more.
    private var taken = 0
    private var released = 0
    /// What is on its way, in order: `taken` behind it, and the submission that copies it.
    private var runs: [(end: Int, submission: UInt64)] = []

    private static let ringByteCount = 16 << 20
    /// The most bytes that are lent at once: a quarter, so that they are written while others go.
    private static let mostAtOnce = ringByteCount / 4

    init(_ device: VulkanDevice) throws(VulkanError) {
        self.device = device
        stream = try CopyStream(device)
        runs.reserveCapacity(64)
    }

    /// Copies runs of `source` to the host once so many submissions of commands are done, and lends them to
    /// it piece by piece; nothing after a fault.
    func read(
        _ source: DeviceBuffer, _ runs: [Range<Int>], after submission: UInt64, fault: (VulkanError) -> Void,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) {
        guard let mapped = unsafe openRing(fault), let ring else { return }
        for run in runs {
            for start in stride(from: run.lowerBound, to: run.upperBound, by: Self.mostAtOnce) {
                let count = min(Self.mostAtOnce, run.upperBound - start)
                let place = take(count)
                let own = stream.nextSubmission
                stream.copy(
                    from: source, at: start, to: ring, at: place, byteCount: count, after: submission)
                // Behind what has been submitted meanwhile, all the same.
                stream.publishToHost()
                stream.wait(for: stream.nextSubmission)
                if stream.hasFault { return }
                self.runs.append((taken, own))
                unsafe body(UnsafeRawBufferPointer(rebasing: mapped[place..<place + count]))
            }
        }
    }

    /// The ring, made when it is first asked for; nil where there is no such memory, of which `fault` hears.
    private func openRing(_ fault: (VulkanError) -> Void) -> UnsafeMutableRawBufferPointer? {
        if ring == nil {
            do { ring = try DeviceBuffer(device, byteCount: Self.ringByteCount, kind: .host) } catch {
                fault(error)
                return nil
            }
        }
        guard let mapped = unsafe ring?.mapped else { preconditionFailure("the host sees host memory") }
        return unsafe mapped
    }

    /// Lends pieces of the host's memory to be filled with `byteCount` bytes, and lets each be copied to
    /// `target` when so many submissions of commands are done. Where there is no such memory, `fault` hears
    /// why.
    func fill<E: Error>(
        _ target: DeviceBuffer, at offset: Int, byteCount: Int, after submission: UInt64,
        fault: (VulkanError) -> Void,
        _ body: (_ within: Range<Int>, UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        guard let mapped = unsafe openRing(fault), let ring else { return }
        for start in stride(from: 0, to: byteCount, by: Self.mostAtOnce) {
            let within = start..<min(start + Self.mostAtOnce, byteCount)
            let place = take(within.count)
            try unsafe body(
                within, UnsafeMutableRawBufferPointer(rebasing: mapped[place..<place + within.count]))
            runs.append((taken, stream.nextSubmission))
            stream.copy(
                from: ring, at: place, to: target, at: offset + start, byteCount: within.count,
                after: submission)
        }
    }

    /// Where the next `count` bytes of the ring may be written, waiting for those that went before.
    private func take(_ count: Int) -> Int {
        // A run does not wrap: what is left at the end is skipped.
        if position + count > Self.ringByteCount {
            taken += Self.ringByteCount - position
            position = 0
        }
        let size = (count + 15) / 16 * 16
        var gone = 0
        while taken + size - released > Self.ringByteCount, gone < runs.count {
            stream.wait(for: runs[gone].submission)
            released = runs[gone].end
            gone += 1
        }
        runs.removeFirst(gone)
        // What a fill that failed had taken is nobody's.
        if runs.isEmpty { released = taken }
        defer { position += size }
        taken += size
        return position
    }
}
