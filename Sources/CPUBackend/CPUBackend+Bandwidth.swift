//! How fast this machine reads memory: the limit that decoding is held against.

internal import CKernels
internal import HostSystem
internal import Synchronization
public import Tensors

extension CPUBackend {
    /// Seconds that all threads together take to read every byte of `memories` once: the fastest of some
    /// passes.
    ///
    /// Loads in order, nothing computed but a sum, every other pass with lines asked for ahead. Memories that
    /// fit a cache are read from there.
    public func secondsToRead(_ memories: [any BackendMemory]) -> Double? {
        let sink = Atomic<UInt64>(0)
        var fastest = Duration.seconds(1 << 20)
        for pass in 0..<Self.readPasses {
            let asksAhead = pass % 2 == 0
            let start = Moment.now
            for memory in memories {
                let base = unsafe UnsafeRawPointer(hostBase(memory))
                let claims = (memory.byteCount + Self.readClaim - 1) / Self.readClaim
                pool.run(claims) { claim, _ in
                    let begin = claim * Self.readClaim
                    let count = min(Self.readClaim, memory.byteCount - begin)
                    let sum = unsafe Self.sum(
                        UnsafeRawBufferPointer(start: base + begin, count: count), asksAhead: asksAhead)
                    // Stored, so that the loads are not dead.
                    sink.wrappingAdd(sum, ordering: .relaxed)
                }
            }
            fastest = min(fastest, start.duration(to: Moment.now))
        }
        return fastest.seconds
    }

    /// Nil: weights are decompressed into the memory that is computed on.
    public func secondsToCopy(byteCount: Int) -> Double? { nil }

    private static let readPasses = 4
    /// Bytes that a thread reads at a time.
    private static let readClaim = 1 << 20

    /// Bytes that are asked for before they are needed. 16 cores of a Xeon read half as much again by it;
    /// from a cache it only costs.
    private static let readAhead = 8192

    /// The sum of the whole 64-byte lines, in four chains so that loads do not wait for additions.
    private static func sum(_ bytes: UnsafeRawBufferPointer, asksAhead: Bool) -> UInt64 {
        typealias Line = SIMD8<UInt64>
        var sums = (Line(), Line(), Line(), Line())
        let lines = bytes.count / 64
        var line = 0
        while line + 4 <= lines {
            for next in line..<line + 4 where asksAhead {
                unsafe thimble_prefetch(bytes.baseAddress! + (next * 64 + readAhead))
            }
            unsafe sums.0 &+= bytes.loadUnaligned(fromByteOffset: line * 64, as: Line.self)
            unsafe sums.1 &+= bytes.loadUnaligned(fromByteOffset: line * 64 + 64, as: Line.self)
            unsafe sums.2 &+= bytes.loadUnaligned(fromByteOffset: line * 64 + 128, as: Line.self)
            unsafe sums.3 &+= bytes.loadUnaligned(fromByteOffset: line * 64 + 192, as: Line.self)
            line += 4
        }
        return (sums.0 &+ sums.1 &+ sums.2 &+ sums.3).wrappedSum()
    }
}
