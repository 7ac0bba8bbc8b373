//! How the program ends: exit statuses after sysexits.h, and the one place that maps errors to them.

import TextSearch
import Thimble

/// The exit statuses of the program.
enum ExitStatus: Int32 {
    case success = 0
    case failure = 1
    /// What was asked for does not fit the memory budget.
    case budgetExceeded = 3
    /// A command line that cannot be (EX_USAGE).
    case usage = 64
    /// A damaged or unsupported model, image or document (EX_DATAERR).
    case badData = 65
    /// An input that is not there (EX_NOINPUT).
    case inputMissing = 66
    /// No device does what was asked (EX_UNAVAILABLE).
    case noDevice = 69
    /// A fault of this program (EX_SOFTWARE).
    case internalFault = 70
    /// An output that cannot be created (EX_CANTCREAT).
    case cannotCreate = 73
    /// A read or a write that failed (EX_IOERR).
    case inputOutput = 74
    /// Ended by SIGINT: 128 + 2, as a shell reports it.
    case interrupted = 130
    /// The reader of standard output went away: 128 + SIGPIPE.
    case brokenPipe = 141
    /// Ended by SIGTERM: 128 + 15.
    case terminated = 143

    init(_ code: ThimbleError.Code) {
        switch code {
        case .invalidArgument: self = .usage
        case .inputMissing: self = .inputMissing
        case .corrupt, .unsupported: self = .badData
        case .contextFull, .outOfMemory: self = .failure
        case .budgetExceeded: self = .budgetExceeded
        case .io: self = .inputOutput
        case .cannotCreate: self = .cannotCreate
        case .noDevice: self = .noDevice
        case .cancelled: self = .interrupted
        case .internal: self = .internalFault
        }
    }
}

extension ExitStatus {
    /// What to do where an error's message says nothing better; nil where nothing is to be done.
    fileprivate var usualMend: String? {
        switch self {
        case .success, .interrupted, .brokenPipe, .terminated: nil
        case .failure, .budgetExceeded: "thimble plan MODEL says what fits, and thimble doctor what there is"
        case .usage: "thimble --help says what can be given"
        case .badData: "give another file, or make this one anew"
        case .inputMissing: "correct the path, or the file's permissions"
        case .noDevice: "thimble doctor says what is amiss; --device cpu needs none"
        case .internalFault: "this is a fault of Thimble: report it with the command that led to it"
        case .cannotCreate: "name another place"
        case .inputOutput: "see to the disk's room and health, and try again"
        }
    }
}

/// Why a command did not succeed.
struct Failure: Error {
    let status: ExitStatus
    /// One line that names the thing at fault, the fault and the mend; nil where the status says it all.
    let message: String?

    init(_ status: ExitStatus, _ message: String? = nil) {
        self.status = status
        self.message = message
    }

    init(_ error: ThimbleError) {
        self.init(ExitStatus(error.code), error.message)
    }

    /// The message with what to do next. Most messages say that themselves, after a semicolon; for the others
    /// there is one for each way to end.
    var advice: String? {
        guard let message, let mend = status.usualMend else { return message }
        // What follows may also be a limit, or what there is instead: no more than facts.
        let last = message.pieces(between: "; ").dropFirst().last
        let isMend = last.map { clause in
            !["the limit is", "supported are"].contains { clause.hasPrefix($0) }
        }
        return isMend == true ? message : "\(message); \(mend)"
    }

    /// A fault of the command line.
    static func usage(_ message: String) -> Failure { Failure(.usage, message) }
}
