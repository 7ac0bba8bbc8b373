//! The one error that leaves this library.

/// What went wrong, in a line that names the thing at fault and, where there is one, the mend.
public struct ThimbleError: Error, Sendable, CustomStringConvertible {
    /// What kind of fault. The numbers are pinned: they never change and are never used again.
    public enum Code: Int32, Sendable, CaseIterable {
        /// An argument that cannot be: a token out of range, an unknown option.
        case invalidArgument = 1
        /// An input file that is not there or cannot be read.
        case inputMissing = 2
        /// A model, image or document that is damaged or is not what it says.
        case corrupt = 3
        /// Something well-formed that this program does not do.
        case unsupported = 4
        /// The prompt and what was computed before do not fit in the context.
        case contextFull = 5
        /// Memory was refused.
        case outOfMemory = 6
        /// A read or a write failed: disk full, permission.
        case io = 7
        /// No device does what was asked.
        case noDevice = 8
        /// The caller asked to stop.
        case cancelled = 9
        /// An output that cannot be made where it is asked for.
        case cannotCreate = 11
        /// What was asked for does not fit the memory that it may take.
        case budgetExceeded = 12
        /// A fault of this program.
        case `internal` = 10
    }

    public let code: Code
    public let message: String
    /// The system's error number; 0 where the system is not at fault or did not say.
    public let systemError: Int32
    /// Vulkan's result; 0 where no device is at fault or it did not say.
    public let deviceResult: Int32

    public init(_ code: Code, _ message: String, systemError: Int32 = 0, deviceResult: Int32 = 0) {
        self.code = code
        self.message = message
        self.systemError = systemError
        self.deviceResult = deviceResult
    }

    public var description: String { message }
}
