//! Every limit of the container on what a model file may ask for, in one place.

extension ContainerFormat {
    /// The manifest, stored or raw, in bytes. The largest one a supported configuration needs has about two
    /// million; as parsed JSON, hostile ones take some fifty times their length in memory.
    static let maximumManifestByteCount = 4 << 20
    /// Blocks in a file: 1 TiB of raw bytes, and an index of 64 MiB.
    static let maximumBlockCount = 1 << 22
    /// Segments in a file: more than the layers of any supported configuration.
    static let maximumSegmentCount = 4096
    /// Tensors in a segment; a layer has nine.
    static let maximumTensorCount = 1024
    /// Rows or columns of a matrix. A plane then has at most 2^50 bytes, so no sum of planes overflows.
    static let maximumDimension = 1 << 24
    /// Elements of a vector, which may be a whole table, such as the learned positions.
    static let maximumVectorCount = 1 << 32
    /// A segment's or a tensor's name, in bytes: names are quoted in messages.
    static let maximumNameByteCount = 128
    /// A data segment, in bytes: an array of this size is made for it before it is read.
    static let maximumDataByteCount = 256 << 20
}
