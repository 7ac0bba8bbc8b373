//! The one error type of this module.

/// Why a document could not be turned into page images. The message names the thing at fault, carries the
/// numbers and, where there is one, the mend.
public struct DocumentError: Error, Equatable, Sendable, CustomStringConvertible {
    /// The kinds of fault, for callers that map them to codes.
    public enum Kind: Sendable {
        /// The file could not be opened or read.
        case unreadable
        /// The content is of a kind that this module does not read.
        case unsupported
        /// The bytes contradict their own format: cut short, damaged, or not UTF-8.
        case malformed
        /// There is nothing to draw.
        case empty
        /// A limit on bytes, pixels or pages is exceeded.
        case tooLarge
        /// A page setting is unknown, of the wrong type or out of range.
        case settings
        /// A font is missing or cannot be used.
        case font
        /// The codec or the font engine found no memory.
        case outOfMemory
    }

    /// The kind of fault.
    public let kind: Kind
    /// One sentence for a person.
    public let message: String
    /// The system's error number; 0 where the system is not at fault or did not say.
    public let systemError: Int32

    /// An error with a ready message.
    public init(_ kind: Kind, _ message: String, systemError: Int32 = 0) {
        self.kind = kind
        self.message = message
        self.systemError = systemError
    }

    /// The message.
    public var description: String { message }
}
