//! How the modules' own errors become the one that leaves this library.

internal import Checkpoints
internal import Documents
internal import Glibc
internal import ModelFile
internal import Models
internal import SessionFiles
internal import Tensors

/// Runs `body`, and turns a model file's error into ours.
func translating<Result>(_ body: () throws(ModelFileError) -> Result) throws(ThimbleError) -> Result {
    do { return try body() } catch { throw ThimbleError(error) }
}

/// Runs `body`, and turns a backend's error into ours; `path` names the model file.
func translating<Result>(
    _ path: String, _ body: () throws(BackendError) -> Result
) throws(ThimbleError) -> Result {
    try translating(path) { () throws(ModelError) in
        do throws(BackendError) { return try body() } catch { throw .backend(error) }
    }
}

/// Runs `body`, and turns a model's error into ours; `path` names the model file.
func translating<Result>(
    _ path: String, _ body: () throws(ModelError) -> Result
) throws(ThimbleError) -> Result {
    do { return try body() } catch {
        switch error {
        case .file(let fault): throw ThimbleError(fault)
        case .backend(let fault):
            throw ThimbleError(
                fault.code == .outOfMemory ? .outOfMemory : .noDevice, "\(path): \(fault.message)",
                deviceResult: fault.deviceResult)
        case .mismatch(let message): throw ThimbleError(.corrupt, "\(path): \(message)")
        case .contextFull(let needed, let capacity): throw .contextFull(needed: needed, capacity: capacity)
        case .poolFull(let shortage): throw ThimbleError(shortage)
        case .spill(let fault): throw ThimbleError(fault)
        case .session(let fault): throw ThimbleError(fault)
        case .tokenOutOfRange: throw ThimbleError(.invalidArgument, "\(error)")
        }
    }
}

extension ThimbleError {
    static func contextFull(needed: Int, capacity: Int) -> ThimbleError {
        ThimbleError(
            .contextFull,
            "the prompt needs \(needed) tokens and the context holds \(capacity); shorten it, give fewer "
                + "pages, or raise --context if the model allows it")
    }

    /// Names the limit that is reached, and what would help.
    init(_ shortage: PoolShortage) {
        let mend =
            switch shortage.reason {
            case .held: "end another one, name a folder for [spill] in the budget, or raise --context"
            case .own: "raise --context"
            case .spill(.size): "end another one, or raise spill.size in the budget"
            case .spill(.writtenADay): "end another one, wait, or raise spill.written-a-day in the budget"
            case .spill: "end another one, or mend the folder of [spill] in the budget"
            }
        self.init(.contextFull, "\(shortage); \(mend)")
    }

    init(_ fault: SpillFault) {
        let code: Code = if case .cannotCreate = fault { .cannotCreate } else { .io }
        self.init(code, "the budget's folder for keys and values: \(fault.detail)")
    }

    init(_ error: SessionFileError) {
        let code: Code =
            switch error.code {
            case .missing: .inputMissing
            case .notASession, .damaged, .limit: .corrupt
            case .unsupportedVersion: .unsupported
            case .name: .invalidArgument
            case .inUse, .cannotCreate: .cannotCreate
            case .outOfMemory: .outOfMemory
            case .outOfSpace, .writtenADay, .system: .io
            }
        self.init(code, error.description, systemError: error.systemError)
    }

    static func noTokenizer(_ path: String) -> ThimbleError {
        ThimbleError(
            .unsupported,
            "\(path) has no tokenizer; convert it again from a folder with tokenizer.json, or give token ids")
    }

    init(_ error: ModelFileError) {
        let code: Code =
            switch error.code {
            case .notAModelFile, .truncated, .damaged, .limit, .missing: .corrupt
            case .unsupportedVersion: .unsupported
            case .changed, .outOfSpace: .io
            case .cannotCreate: .cannotCreate
            case .outOfMemory: .outOfMemory
            case .system: isMissing(error.file) ? .inputMissing : .io
            }
        self.init(code, error.description, systemError: error.systemError)
    }

    init(_ error: CheckpointError) {
        let code: Code =
            switch error.code {
            case .unreadable: .inputMissing
            case .malformed, .tensor, .value: .corrupt
            case .unsupported: .unsupported
            case .output: .io
            case .cannotCreate: .cannotCreate
            case .outOfMemory: .outOfMemory
            case .cancelled: .cancelled
            }
        self.init(code, error.description)
    }

    init(_ error: DocumentError) {
        let code: Code =
            switch error.kind {
            case .unreadable, .font: .inputMissing
            case .unsupported: .unsupported
            case .malformed, .empty, .tooLarge: .corrupt
            case .settings: .invalidArgument
            case .outOfMemory: .outOfMemory
            }
        self.init(code, error.message, systemError: error.systemError)
    }
}

/// Whether there is nothing at `path`.
private func isMissing(_ path: String) -> Bool { unsafe access(path, F_OK) != 0 }
