//! The size of an image in the units that the model counts.

/// A size in patches, or in visual tokens.
public struct ImageGrid: Sendable, Equatable {
    /// Units from top to bottom.
    public var height: Int
    /// Units from left to right.
    public var width: Int

    /// Describes a grid of `height` rows and `width` columns.
    public init(height: Int, width: Int) {
        self.height = height
        self.width = width
    }

    /// Units in all.
    public var count: Int { height * width }
}
