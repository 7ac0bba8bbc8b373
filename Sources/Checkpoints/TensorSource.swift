//! Where a model's weights come from: a folder of files, or a generator.

public import ModelFile

/// One tensor of a source.
public struct SourceTensor: Sendable, Equatable {
    /// The name that the source knows it by.
    public let name: String
    /// Sizes, outermost first. The first dimension counts rows.
    public let shape: [Int]
    /// Bytes of one element in the source.
    public let elementByteCount: Int

    /// Rows: the first dimension.
    public var rows: Int { shape[0] }
    /// Elements of a row: the product of the other dimensions.
    public var columns: Int { shape.dropFirst().reduce(1, *) }
    /// Elements in all.
    public var elementCount: Int { rows * columns }
}

/// A source of named tensors. Reading is safe from several threads at once.
public protocol TensorSource: Sendable {
    /// The model's configuration.
    var configuration: ModelConfiguration { get }
    /// Path or words for error messages.
    var location: String { get }
    /// How many tensors the source has; nil for a source that has whatever is asked for.
    var tensorCount: Int? { get }
    /// The first of `names` that the source has. A missing tensor or another shape is an error.
    func tensor(_ names: [String], shape: [Int]) throws(CheckpointError) -> SourceTensor
    /// Writes the values of `elements`, counted through the tensor row by row, to `values`, which has room
    /// for as many.
    func read(
        _ tensor: SourceTensor, elements: Range<Int>, into values: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError)
    /// Throws where what was read may not be what the source holds now.
    func checkUnchanged() throws(CheckpointError)
}
