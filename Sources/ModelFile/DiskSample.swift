//! How fast a disk brings what passes: what plans of models that do not fit are predicted with.

import HostSystem
import Threads

/// Reads a file from end to end and again, past the system's cache, as weights that come and go are read.
public final class DiskSample {
    private let direct: DirectFile
    /// Where the next reading goes on: disks and those before them remember what was read last.
    private var position = 0

    /// The most bytes of a read.
    private static let mostReadBytes = RunReader.mostRunBytes

    /// Whether reads went past the cache so far. Where the file system does not allow that, the system was
    /// asked to forget before each.
    public var isDirect: Bool { direct.isDirect }

    /// Throws `system` for a file that cannot be read, `truncated` for one that has no whole read.
    public init(path: String) throws(ModelFileError) {
        do throws(InputFault) { direct = DirectFile(try InputFile(path: path)) } catch {
            throw ModelFileError(.system, file: path, error.detail)
        }
        guard direct.input.byteCount >= Self.mostReadBytes else {
            throw ModelFileError(
                .truncated, file: path,
                "\(direct.input.byteCount) bytes are too few to measure a disk with; give a larger file")
        }
    }

    /// Bytes a second over so many seconds, with `readCount` reads in flight: of a run each, or of a block.
    ///
    /// Throws `outOfMemory`, and what reading may throw. Precondition: both are positive.
    public func bytesPerSecond(
        seconds: Double, readCount: Int, ofBlocks: Bool = false
    ) throws(ModelFileError) -> Double {
        precondition(seconds > 0 && readCount > 0)
        let reading = Reading(
            direct, of: ofBlocks ? ContainerFormat.blockByteCount : Self.mostReadBytes, from: position,
            until: Moment.now + .seconds(seconds))
        let start = Moment.now
        var threads = JoinedThreads()
        for _ in 0..<readCount {
            guard threads.start({ reading.work() }) else { break }
        }
        guard threads.count > 0 else {
            throw ModelFileError(.outOfMemory, file: direct.input.path, "the system allows no thread")
        }
        threads.join()
        let duration = start.duration(to: .now).seconds
        let (byteCount, end) = try reading.result()
        position = end
        return Double(byteCount) / duration
    }

    /// Reads that threads share.
    private final class Reading: Sendable {
        private struct State {
            var position: Int
            var byteCount = 0
            var fault: ModelFileError?
        }

        private let direct: DirectFile
        private let readByteCount: Int
        private let end: Moment
        private let state: Monitor<State>

        init(
            _ direct: DirectFile, of readByteCount: Int, from position: Int,
            until end: Moment
        ) {
            self.direct = direct
            self.readByteCount = readByteCount
            self.end = end
            state = Monitor(State(position: position))
        }

        /// Reads until the time is over, and once at least.
        func work() {
            do throws(ModelFileError) {
                let buffer = try HostBuffer(
                    byteCount: DirectFile.bufferByteCount(for: readByteCount), for: "direct reads",
                    of: direct.input.path)
                repeat {
                    let range = next()
                    do throws(InputFault) { _ = unsafe try direct.read(range, into: buffer.bytes) } catch {
                        throw direct.input.modelFileError(error, at: range.lowerBound)
                    }
                    state.withLock { $0.byteCount += range.count }
                } while Moment.now < end
            } catch {
                state.withLock { $0.fault = $0.fault ?? error }
            }
        }

        private func next() -> Range<Int> {
            let byteCount = direct.input.byteCount
            let readByteCount = self.readByteCount
            return state.withLock { state in
                if state.position + readByteCount > byteCount { state.position = 0 }
                defer { state.position += readByteCount }
                return state.position..<state.position + readByteCount
            }
        }

        /// What was read, and where the next reading goes on. Of several faults, one is thrown.
        func result() throws(ModelFileError) -> (byteCount: Int, end: Int) {
            let (fault, byteCount, position) = state.withLock { ($0.fault, $0.byteCount, $0.position) }
            if let fault { throw fault }
            return (byteCount, position)
        }
    }
}
