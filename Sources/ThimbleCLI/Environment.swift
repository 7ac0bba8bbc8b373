//! Settings from the environment: a flag wins over them, they win over what is built in.

import HostSystem
import Thimble

/// The variables that the program reads.
enum Environment {
    static var model: String? { text("THIMBLE_MODEL") }
    static var budgetName: String? { text("THIMBLE_BUDGET") }

    static func threads() throws(Failure) -> Int? { try number("THIMBLE_THREADS") }

    /// What single variables say where `flags` say nothing: the others are not looked at.
    static func budget(beside flags: Budget) throws -> Budget {
        var budget = flags
        if budget.run.device == nil {
            budget.run.device = try text("THIMBLE_DEVICE").map(EngineFlags.device)
        }
        if budget.run.threads == nil { budget.run.threads = try threads() }
        if budget.run.context == nil { budget.run.context = try number("THIMBLE_CONTEXT") }
        if budget.kv.type == nil { budget.kv.type = try text("THIMBLE_KV").map(EngineFlags.kvType) }
        if budget.memory.host == nil { budget.memory.host = try size("THIMBLE_HOST_MEMORY") }
        if budget.memory.device == nil { budget.memory.device = try size("THIMBLE_DEVICE_MEMORY") }
        if budget.features.disk == nil { budget.features.disk = try size("THIMBLE_FEATURE_CACHE") }
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
        guard let value = ProcessEnvironment.variables[name], !value.isEmpty else { return nil }
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
