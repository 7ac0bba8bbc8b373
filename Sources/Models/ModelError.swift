//! What can go wrong when a model is loaded or run.

public import ModelFile
public import SessionFiles
public import Tensors

/// A fault of the world met by a model: its file, its memory, or more tokens than it was given room for.
public enum ModelError: Error {
    /// A fault of the model file.
    case file(ModelFileError)
    /// Memory was refused, or the device failed.
    case backend(BackendError)
    /// The file lacks what the architecture needs, or has it in another shape.
    case mismatch(String)
    /// The sequence would be `needed` tokens long; `capacity` is the context.
    case contextFull(needed: Int, capacity: Int)
    /// The pages of keys and values that all sequences share have no room.
    case poolFull(PoolShortage)
    /// Pages cannot go to disk at all.
    case spill(SpillFault)
    /// A saved session cannot be written or read.
    case session(SessionFileError)
    /// A token id outside the vocabulary.
    case tokenOutOfRange(token: Int, vocabularySize: Int)
}

/// Why a sequence gets no more pages.
public struct PoolShortage: Sendable, Equatable, CustomStringConvertible {
    /// Tokens that the pages asked for hold.
    public let needed: Int
    /// Tokens of pages that were to be had.
    public let free: Int
    /// Tokens of all pages of the pool.
    public let capacity: Int
    public let reason: Reason

    public enum Reason: Sendable, Equatable {
        /// Others hold the rest, and there is no file for them to go to.
        case held
        /// The sequence itself holds the rest.
        case own
        /// The rest could not go to the file.
        case spill(SpillFault)
    }

    public var description: String {
        let counts =
            "the conversation needs keys and values of \(needed) more tokens, and of the \(capacity) that "
            + "all conversations share \(free) are left"
        return switch reason {
        case .held: counts
        case .own: "\(counts), for the rest is its own"
        case .spill(let fault): "\(counts), for others cannot go to disk: \(fault.detail)"
        }
    }
}

extension ModelError: CustomStringConvertible {
    public var description: String {
        switch self {
        case .file(let error): "\(error)"
        case .backend(let error): error.message
        case .mismatch(let message): message
        case .contextFull(let needed, let capacity):
            "\(needed) tokens do not fit in a context of \(capacity) tokens"
        case .poolFull(let shortage): "\(shortage)"
        case .spill(let fault): fault.detail
        case .session(let error): "\(error)"
        case .tokenOutOfRange(let token, let vocabularySize):
            "token \(token) is outside the vocabulary of \(vocabularySize)"
        }
    }
}
