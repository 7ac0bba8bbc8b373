//! Counters that threads of a pool share.

internal import Synchronization

/// An integer without neighbours: threads that look at one do not slow those that count with another. Two
/// cache lines apart, for processors fetch them in pairs.
struct LoneAtomic: ~Copyable {
    let value = Atomic<Int>(0)
    private let padding = InlineArray<15, Int>(repeating: 0)

    /// Of the numbers below `count` that nobody has taken the next few: an even share for each of `workers`.
    /// Nil where none are left. The counter holds those taken.
    func takeSlice(of count: Int, _ workers: Int) -> Range<Int>? {
        let size = (count + workers - 1) / workers
        let first = value.wrappingAdd(size, ordering: .relaxed).oldValue
        return first < count ? first..<min(first + size, count) : nil
    }

    /// Adds what is done to the counter, and waits until others have made it `total`: whatever was written
    /// before they added theirs is seen from then on.
    func add(_ count: Int, waitingFor total: Int) {
        if count > 0 { value.wrappingAdd(count, ordering: .releasing) }
        var wait = SpinWait()
        while value.load(ordering: .acquiring) < total { wait.look() }
    }
}

/// A run of iterations that is taken from both ends: in order by the one it belongs to, from the end by
/// others.
struct LoopShare: ~Copyable {
    /// The first iteration that is left in the low half, the end of them in the high one.
    private let bounds = LoneAtomic()

    /// The most iterations of a loop: a bound of a share is half a word.
    static let mostIterations = Int(Int32.max)

    var isEmpty: Bool { Self.range(bounds.value.load(ordering: .relaxed)).isEmpty }

    /// Nobody else may use the share meanwhile.
    func give(_ range: Range<Int>) { bounds.value.store(Self.bits(range), ordering: .relaxed) }

    /// Takes as many iterations as `size` says of the number left, a positive one; nil where none are.
    func takeFirst(_ size: (Int) -> Int) -> Range<Int>? {
        take { range in
            let middle = range.lowerBound + size(range.count)
            return (range.lowerBound..<middle, middle..<range.upperBound)
        }
    }

    /// Likewise, the last ones.
    func takeLast(_ size: (Int) -> Int) -> Range<Int>? {
        take { range in
            let middle = range.upperBound - size(range.count)
            return (middle..<range.upperBound, range.lowerBound..<middle)
        }
    }

    @inline(__always)
    private func take(
        _ cut: (Range<Int>) -> (taken: Range<Int>, left: Range<Int>)
    ) -> Range<Int>? {
        var seen = bounds.value.load(ordering: .relaxed)
        while true {
            let range = Self.range(seen)
            if range.isEmpty { return nil }
            let (taken, left) = cut(range)
            let (exchanged, original) = bounds.value.weakCompareExchange(
                expected: seen, desired: Self.bits(left), ordering: .relaxed)
            if exchanged { return taken }
            seen = original
        }
    }

    private static func bits(_ range: Range<Int>) -> Int { range.upperBound << 32 | range.lowerBound }
    private static func range(_ bits: Int) -> Range<Int> { bits & 0xffff_ffff..<bits >> 32 }
}
