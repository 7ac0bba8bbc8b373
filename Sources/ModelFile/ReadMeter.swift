//! How busy reading keeps a disk: the bytes that came, and how many reads were on their way at a time.

import HostSystem
import Threads

/// What direct reads of a file did. The difference of two is what they did in between.
public struct ReadTally: Sendable, Equatable {
    /// Bytes that were asked for and came.
    public internal(set) var byteCount = 0
    public internal(set) var readCount = 0
    /// Seconds during which so many reads were on their way, by their number: first those without any. The
    /// last entry is of so many or more.
    public internal(set) var seconds = [Double](repeating: 0, count: mostCounted + 1)

    /// Reads at a time that are told apart.
    static let mostCounted = 16

    public static func - (left: ReadTally, right: ReadTally) -> ReadTally {
        var difference = left
        difference.byteCount -= right.byteCount
        difference.readCount -= right.readCount
        for count in left.seconds.indices { difference.seconds[count] -= right.seconds[count] }
        return difference
    }

    private var duration: Double { seconds.reduce(0, +) }
    /// Reads on their way at a time, in the mean.
    public var meanInFlight: Double {
        let sum = seconds.enumerated().reduce(0) { $0 + Double($1.offset) * $1.element }
        return duration > 0 ? sum / duration : 0
    }
    /// The share of the time in which nothing was asked of the disk, 0 to 1.
    public var idleShare: Double { duration > 0 ? seconds[0] / duration : 0 }
}

/// Counts reads of a file as they begin and end. Safe from several threads at once; takes nothing of the heap
/// while nobody asks.
public final class ReadMeter: Sendable {
    private struct State {
        var tally = ReadTally()
        var inFlight = 0
        /// Until when the tally's times are counted.
        var counted = Moment.now

        /// Counts the time that has gone by with as many reads as there are now.
        mutating func count(until now: Moment) {
            tally.seconds[min(inFlight, ReadTally.mostCounted)] += counted.duration(to: now).seconds
            counted = now
        }
    }

    private let state = Monitor(State())

    init() {}

    /// Everything since the file was opened.
    public var tally: ReadTally {
        state.withLock { state in
            state.count(until: .now)
            return state.tally
        }
    }

    /// Counts a read of `byteCount` bytes while `body` does it; one that fails brings none.
    func count<Result, Fault: Error>(
        _ byteCount: Int, _ body: () throws(Fault) -> Result
    ) throws(Fault) -> Result {
        state.withLock { state in
            state.count(until: .now)
            state.inFlight += 1
        }
        var brought = 0
        defer {
            state.withLock { state in
                state.count(until: .now)
                state.inFlight -= 1
                state.tally.byteCount += brought
                state.tally.readCount += 1
            }
        }
        let result = try body()
        brought = byteCount
        return result
    }
}
