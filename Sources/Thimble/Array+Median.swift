//! What stands for several measurements of the same.

extension Array where Element: Comparable {
    /// The one in the middle of their order; of an even number the higher of the two. Precondition: there
    /// is one.
    package var median: Element { sorted()[count / 2] }
}
