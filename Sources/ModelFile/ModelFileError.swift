//! What can go wrong with a model file, and what to do about it.

/// A fault of a model file, or of the disk it lies on.
public struct ModelFileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of fault.
    public enum Code: String, Sendable {
        /// The file does not start as a model file does.
        case notAModelFile
        /// The file has a format version that this program does not read.
        case unsupportedVersion
        /// The file is shorter or longer than its header says.
        case truncated
        /// Bytes do not match their checksum, or fields contradict each other.
        case damaged
        /// A count or a size is beyond what this program accepts.
        case limit
        /// The file was changed by someone else while it was open.
        case changed
        /// A segment or a tensor that was asked for is not there, or has another shape.
        case missing
        /// Memory was refused.
        case outOfMemory
        /// The disk is full, or a quota or file size limit is reached.
        case outOfSpace
        /// The file cannot be made where it is asked for.
        case cannotCreate
        /// The operating system refused an operation.
        case system
    }

    /// The kind of fault.
    public let code: Code
    /// Path of the file at fault.
    public let file: String
    /// Where in the file, in bytes; nil where no place is at fault.
    public let offset: Int?
    /// The system's number for it; 0 where the system is not at fault.
    public let systemError: Int32
    /// The fault in numbers and names.
    public let detail: String

    /// Makes an error about `file`.
    public init(
        _ code: Code, file: String, offset: Int? = nil, systemError: Int32 = 0, _ detail: String
    ) {
        self.code = code
        self.file = file
        self.offset = offset
        self.systemError = systemError
        self.detail = detail
    }

    /// One line: the file, the fault, the place and the mend.
    public var description: String { "\(file): \(reason)" }

    /// The description without the file.
    public var reason: String {
        let place = offset.map { " (at byte \($0))" } ?? ""
        return "\(detail)\(place)\(mend)"
    }

    private var mend: String {
        switch code {
        case .notAModelFile: "; give a .thimble file, or make one with `thimble convert`"
        case .unsupportedVersion: "; convert the model again with this version of thimble"
        case .truncated, .damaged, .limit: "; copy or convert the model again"
        case .changed: "; replace a model by renaming a new file over it, and open it again"
        case .missing: "; convert the model again from a complete checkpoint"
        case .outOfSpace: "; free some space or write elsewhere"
        case .cannotCreate: "; name another place"
        case .outOfMemory, .system: ""
        }
    }
}
