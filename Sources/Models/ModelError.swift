//! What can go wrong when a model is loaded or run.

public import ModelFile
public import Tensors

/// A fault of the world met by a model: its file, its memory, or more tokens than it was given room for.
public enum ModelError: Error {
    /// A fault of the model file.
    case file(ModelFileError)
    /// Memory was refused, or the device failed.
    case backend(BackendError)
    /// An image of a size that cannot be used.
    case image(ImagePreprocessorError)
    /// The file lacks what the architecture needs, or has it in another shape.
    case mismatch(String)
    /// The sequence would be `needed` tokens long; `capacity` is the context.
    case contextFull(needed: Int, capacity: Int)
    /// The pages of keys and values that all sequences share have no room: one needs pages of `needed` tokens
    /// more, and of `capacity` tokens those of `free` are to be had.
    case poolFull(needed: Int, free: Int, capacity: Int)
    /// A token id outside the vocabulary.
    case tokenOutOfRange(token: Int, vocabularySize: Int)
}

extension ModelError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .file(let error): "\(error)"
        case .backend(let error): error.message
        case .image(let error): "\(error)"
        case .mismatch(let message): message
        case .contextFull(let needed, let capacity):
            "\(needed) tokens do not fit in a context of \(capacity) tokens"
        case .poolFull(let needed, let free, let capacity):
            "\(needed) more tokens need keys and values; there is room for \(free), for \(capacity) in all"
        case .tokenOutOfRange(let token, let vocabularySize):
            "token \(token) is outside the vocabulary of \(vocabularySize)"
        }
    }
}
