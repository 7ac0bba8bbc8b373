//! Settings from the environment: a flag wins over them, they win over what is built in.

import FoundationEssentials
import Thimble

/// The variables that the program reads.
enum Environment {
    static var model: String? { text("THIMBLE_MODEL") }
    static var device: String? { text("THIMBLE_DEVICE") }

    static func threads() throws(Failure) -> Int? { try number("THIMBLE_THREADS") }
    static func context() throws(Failure) -> Int? { try number("THIMBLE_CONTEXT") }

    static func hostMemory() throws(Failure) -> ByteSize? { try size("THIMBLE_HOST_MEMORY") }
    static func featureCache() throws(Failure) -> ByteSize? { try size("THIMBLE_FEATURE_CACHE") }

    private static func size(_ name: String) throws(Failure) -> ByteSize? {
        guard let value = text(name) else { return nil }
        guard let size = ByteSize(value) else {
            throw .usage("the environment's \(name) is '\(value)', which is no size such as 900MiB; correct it")
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
