//! What stands for several measurements of the same.

extension Array where Element: Comparable {
    /// The one in the middle of their order; of an even number the higher of the two. Precondition: there
    /// is one.
    package var median: Element { sorted()[count / 2] }
    /// From the least to the greatest. Precondition: there is one.
    package var spread: ClosedRange<Element> {
        let sorted = sorted()
        return sorted[0]...sorted[count - 1]
    }
}
