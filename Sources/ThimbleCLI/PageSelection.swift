//! Which pages of a document: `3`, `1-10`, `2,5-7`, `4-`.

import ArgumentParser
import Thimble

/// A choice of pages, counted from 1.
struct PageSelection: ExpressibleByArgument, Equatable {
    private let ranges: [ClosedRange<Int>]

    init?(argument: String) {
        var ranges: [ClosedRange<Int>] = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            let ends = part.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false)
            guard let first = Int(ends[0]), first >= 1 else { return nil }
            let isOpen = ends.count == 2 && ends[1].isEmpty
            guard let last = isOpen ? .max : Int(ends[ends.count - 1]), last >= first else { return nil }
            ranges.append(first...last)
        }
        self.ranges = ranges
    }

    /// Those of the pages `range`, counted from 0 over all, that are chosen: their indexes within it.
    func indexes(in range: Range<Int>) -> [Int] {
        range.filter { index in ranges.contains { $0.contains(index + 1) } }.map { $0 - range.lowerBound }
    }

    /// Throws where a page is named that is none of `count`.
    func check(against count: Int) throws(Failure) {
        for range in ranges
        where range.lowerBound > count || (range.upperBound > count && range.upperBound != .max) {
            let page = range.lowerBound > count ? range.lowerBound : range.upperBound
            throw .usage(
                "--pages names page \(page), and there \(count == 1 ? "is" : "are") \(count.of("page"))")
        }
    }
}
