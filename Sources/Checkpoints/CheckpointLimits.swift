//! Every limit on what a checkpoint's files may ask for, in one place.

import JSON

/// What the files of a checkpoint may ask for, checked before memory is taken for it.
enum CheckpointLimits {
    /// The header of a safetensors file, in bytes. The format allows 100 MB; a header of ten thousand tensors
    /// has about one.
    static let maximumHeaderByteCount = 32 << 20
    /// The index of a checkpoint in several files, in bytes.
    static let maximumIndexByteCount = 32 << 20
    /// config.json and its like, in bytes; published ones have a few thousand.
    static let maximumConfigurationByteCount = 4 << 20
    /// Values within values in JSON, each of which is a call within a call.
    static let maximumDepth = 32
    /// Values of one JSON text, each of which takes more memory than its text. A tensor's entry in a header
    /// has about ten.
    static let maximumValueCount = 1 << 20
    /// What JSON may ask for; a key that stands there twice is refused.
    static let json = JSONLimits(
        depth: maximumDepth, valueCount: maximumValueCount, duplicateKeys: .refused)
}
