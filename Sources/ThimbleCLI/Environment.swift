//! Settings from the environment: a flag wins over them, they win over what is built in.

import FoundationEssentials
import Thimble

/// The variables that the program reads.
enum Environment {
    static var model: String? { text("THIMBLE_MODEL") }
    static var budgetName: String? { text("THIMBLE_BUDGET") }

    static func threads() throws(Failure) -> Int? { try number("THIMBLE_THREADS") }

    /// What single variables say.
    static func budget() throws -> Budget {
        var budget = Budget()
        budget.run.device = try text("THIMBLE_DEVICE").map(EngineFlags.device)
        budget.run.threads = try threads()
        budget.run.context = try number("THIMBLE_CONTEXT")
        budget.memory.host = try size("THIMBLE_HOST_MEMORY")
        budget.memory.device = try size("THIMBLE_DEVICE_MEMORY")
        budget.features.disk = try size("THIMBLE_FEATURE_CACHE")
        return budget
    }

    private static func size(_ name: String) throws(Failure) -> ByteSize? {
        guard let value = text(name) else { return nil }
        guard let size = ByteSize(value) else {
            throw .usage(
                "the environment's \(name) is '\(value)', which is no size such as 900MiB; correct it")
        }
        return size
    }

    /// An empty variable is an absent one.
    private static func text(_ name: String) -> String? {
        guard let value = ProcessInfo.processInfo.environment[name], !value.isEmpty else { return nil }
        return value
    }

    private static func number(_ name: String) throws(Failure) -> Int? {
        guard let value = text(name) else { return nil }
        guard let number = Int(value) else {
            throw .usage("the environment's \(name) is '\(value)', which is no number; correct or unset it")
        }
        return number
    }
}
