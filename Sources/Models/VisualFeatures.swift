//! What the decoder sees of images, and where it is kept.

public import ModelFile
internal import Synchronization
public import Tensors

/// An image as the decoder sees it.
public struct VisualFeatures: Sendable {
    /// `[grid.height * grid.width, hidden size]`, row by row.
    public let values: Activation
    /// Visual tokens along each side.
    public let grid: ImageGrid
    /// Which encoding of an image this is: no two share a number, though their values may lie in turn in the
    /// same memory.
    let encoding: Int

    private static let encodings = Atomic<Int>(0)

    /// Features of a new encoding. Precondition: one row of `values` for each unit of the grid.
    public init(values: Activation, grid: ImageGrid) {
        precondition(values.rows == grid.count)
        self.values = values
        self.grid = grid
        encoding = Self.encodings.wrappingAdd(1, ordering: .relaxed).newValue
    }
}

/// Room for the visual tokens of one conversation, taken image by image.
public final class VisualFeatureStore {
    /// Float32 `[capacity, hidden size]`.
    private let values: Activation
    /// Visual tokens that are kept.
    public private(set) var count = 0

    /// Room for `capacity` visual tokens: no more than the context fit in a prompt. Memory costs only what is
    /// touched.
    ///
    /// Throws `backend` where it is refused. Precondition: `capacity` is positive.
    public init(_ text: TextConfiguration, capacity: Int, on backend: any Backend) throws(ModelError) {
        precondition(capacity > 0)
        do {
            values = Activation(
                try backend.makeMemory(byteCount: capacity * text.hiddenSize * 4, label: "visual features"),
                rows: capacity, columns: text.hiddenSize)
        } catch { throw .backend(error) }
    }

    /// The next `count` rows, which hold nothing yet.
    func take(_ count: Int) throws(ModelError) -> Activation {
        guard count <= values.rows - self.count else {
            throw .contextFull(needed: self.count + count, capacity: values.rows)
        }
        defer { self.count += count }
        return values.rows(self.count..<self.count + count)
    }

    /// Forgets all but the first `newCount` visual tokens. The features of those that follow are no longer
    /// valid.
    ///
    /// Precondition: `newCount` is not above `count`.
    public func truncate(to newCount: Int) {
        precondition(newCount >= 0 && newCount <= count)
        count = newCount
    }
}
