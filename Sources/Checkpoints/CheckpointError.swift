//! What can go wrong with a checkpoint that somebody else wrote.

/// A fault of a checkpoint's files, of a key in its configuration, or of one of its tensors.
public struct CheckpointError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of fault.
    public enum Code: String, Sendable {
        /// A file is missing or cannot be read.
        case unreadable
        /// A file breaks the rules of its format.
        case malformed
        /// A configuration asks for something this program does not do.
        case unsupported
        /// A tensor is missing, or has another shape than the configuration calls for.
        case tensor
        /// A weight is not a finite number, or beyond what the format it is to be stored in can hold.
        case value
        /// The model file cannot be made where it is asked for.
        case cannotCreate
        /// The model file cannot be written.
        case output
        /// Memory was refused.
        case outOfMemory
        /// The caller asked to stop.
        case cancelled
    }

    /// The kind of fault.
    public let code: Code
    /// Path of the file at fault.
    public let file: String
    /// The fault in numbers and names, and the mend where there is one.
    public let detail: String

    /// Makes an error about `file`.
    public init(_ code: Code, file: String, _ detail: String) {
        self.code = code
        self.file = file
        self.detail = detail
    }

    /// One line: the file and the fault.
    public var description: String { "\(file): \(detail)" }
}
