//! How the modules' own errors become the one that leaves this library.

internal import Documents
internal import ModelFile
internal import Models
internal import Tensors

/// Runs `body`, and turns a model file's error into ours.
func translating<Result>(_ body: () throws(ModelFileError) -> Result) throws(ThimbleError) -> Result {
    do { return try body() } catch { throw ThimbleError(error) }
}

/// Runs `body`, and turns a model's error into ours; `path` names the model file.
func translating<Result>(
    _ path: String, _ body: () throws(ModelError) -> Result
) throws(ThimbleError) -> Result {
    do { return try body() } catch {
        switch error {
        case .file(let fault): throw ThimbleError(fault)
        case .backend(let fault):
            throw ThimbleError(fault.code == .outOfMemory ? .outOfMemory : .noDevice, fault.message)
        case .mismatch(let message): throw ThimbleError(.corrupt, "\(path): \(message)")
        case .contextFull(let needed, let capacity): throw .contextFull(needed: needed, capacity: capacity)
        case .tokenOutOfRange: throw ThimbleError(.invalidArgument, "\(error)")
        }
    }
}

extension ThimbleError {
    static func contextFull(needed: Int, capacity: Int) -> ThimbleError {
        ThimbleError(
            .contextFull,
            "the prompt needs \(needed) tokens and the context holds \(capacity): shorten it, give fewer pages, or "
                + "raise --context if the model allows it")
    }
}
