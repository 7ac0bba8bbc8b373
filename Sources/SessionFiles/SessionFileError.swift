//! What can go wrong with a saved session.

/// A fault of a saved session's file, or of the disk it lies on.
public struct SessionFileError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of fault.
    public enum Code: String, Sendable {
        /// There is no such session.
        case missing
        /// The file does not start as a saved session does.
        case notASession
        /// The file has a version that this program does not read.
        case unsupportedVersion
        /// The file is shorter or longer than its head says, does not match its checksums, or contradicts
        /// itself.
        case damaged
        /// A count or a size is beyond what this program accepts.
        case limit
        /// Somebody else writes it, or wants to.
        case inUse
        /// The name is none that a session may have.
        case name
        /// Memory was refused.
        case outOfMemory
        /// The disk is full, or a quota or a file size limit is reached.
        case outOfSpace
        /// As much was written to the folder within 24 hours as is allowed.
        case writtenADay
        /// The file, or its folder, cannot be made where it is asked for.
        case cannotCreate
        /// The operating system refused an operation.
        case system
    }

    /// The kind of fault.
    public let code: Code
    /// Path of the file at fault.
    public let file: String
    /// The system's number for it; 0 where the system is not at fault.
    public let systemError: Int32
    /// The fault in numbers and names.
    public let detail: String

    /// Makes an error about `file`.
    public init(_ code: Code, file: String, systemError: Int32 = 0, _ detail: String) {
        self.code = code
        self.file = file
        self.systemError = systemError
        self.detail = detail
    }

    /// One line: the file, the fault and the mend.
    public var description: String { "\(file): \(detail)\(mend)" }

    private var mend: String {
        switch code {
        case .missing: "; thimble session ls lists what there is"
        case .notASession: "; give a session that thimble has saved"
        case .unsupportedVersion: "; start anew, or use the version that saved it"
        case .damaged, .limit: "; remove it and start anew"
        case .inUse: "; wait for that to end, or give the session another name"
        case .name: "; take letters, digits, and . _ - between them, 64 at most"
        case .outOfSpace: "; free some space or save elsewhere"
        case .writtenADay: "; wait, or raise sessions.written-a-day in the budget"
        case .cannotCreate: "; name another place"
        case .outOfMemory, .system: ""
        }
    }
}
