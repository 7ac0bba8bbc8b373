//! One object of a JSON file, read key by key, with errors that name file, key and value.

import JSON
import ModelFile

/// An object of a configuration file. A key with the value null counts as absent, as the reference reads it.
struct JSONSection {
    let file: String
    /// The keys that lead here, for messages: empty, or ending in a dot.
    let path: String
    let members: [String: JSONValue]

    init(file: String, path: String = "", members: [String: JSONValue]) {
        self.file = file
        self.path = path
        self.members = members.filter { $0.value != .null }
    }

    /// Reads a file whose whole text is one object of at most `limit` bytes; nil if there is no such file.
    init?(ifPresent file: String, limit: Int = CheckpointLimits.maximumConfigurationByteCount)
        throws(CheckpointError)
    {
        let bytes: [UInt8]
        do throws(InputFault) {
            let input = try InputFile(path: file)
            bytes = input.byteCount <= limit ? try input.bytes(at: 0, count: input.byteCount) : []
        } catch {
            if error.isAbsence { return nil }
            throw CheckpointError(error.code, file: file, error.detail)
        }
        let value: JSONValue
        do throws(JSONFault) { value = try JSONValue(parsing: bytes, CheckpointLimits.json) } catch {
            let reason =
                bytes.isEmpty ? "empty or too large" : "not JSON at byte \(error.offset): \(error.detail)"
            throw CheckpointError(.malformed, file: file, reason)
        }
        guard case .object(let members) = value else {
            throw CheckpointError(.malformed, file: file, "is \(value.summary), not an object")
        }
        self.init(file: file, members: members)
    }

    /// Reads a file that has to be there.
    init(_ file: String, limit: Int = CheckpointLimits.maximumConfigurationByteCount) throws(CheckpointError)
    {
        guard let section = try JSONSection(ifPresent: file, limit: limit) else {
            throw CheckpointError(.unreadable, file: file, "there is no such file")
        }
        self = section
    }

    /// The error for a key whose value is not what it has to be.
    func fault(_ key: String, _ expected: String) -> CheckpointError {
        CheckpointError(
            .unsupported, file: file,
            "\(path)\(key) is \(members[key]?.summary ?? "missing"), \(expected)")
    }

    func section(_ key: String) throws(CheckpointError) -> JSONSection? {
        guard let value = members[key] else { return nil }
        guard case .object(let members) = value else { throw fault(key, "not an object") }
        return JSONSection(file: file, path: "\(path)\(key).", members: members)
    }

    func integer(_ key: String) throws(CheckpointError) -> Int? {
        guard let value = members[key] else { return nil }
        guard case .integer(let integer) = value else { throw fault(key, "not an integer") }
        return integer
    }

    func number(_ key: String) throws(CheckpointError) -> Double? {
        switch members[key] {
        case nil: return nil
        case .integer(let value): return Double(value)
        case .number(let value): return value
        default: throw fault(key, "not a number")
        }
    }

    func bool(_ key: String) throws(CheckpointError) -> Bool? {
        guard let value = members[key] else { return nil }
        guard case .bool(let bool) = value else { throw fault(key, "not true or false") }
        return bool
    }

    func string(_ key: String) throws(CheckpointError) -> String? {
        guard let value = members[key] else { return nil }
        guard case .string(let string) = value else { throw fault(key, "not a string") }
        return string
    }

    func integers(_ key: String) throws(CheckpointError) -> [Int]? {
        guard let value = members[key] else { return nil }
        guard case .array(let elements) = value, elements.count <= 64 else {
            throw fault(key, "not a short list")
        }
        var integers: [Int] = []
        for element in elements {
            guard case .integer(let integer) = element else { throw fault(key, "not a list of integers") }
            integers.append(integer)
        }
        return integers
    }

    func numbers(_ key: String) throws(CheckpointError) -> [Float]? {
        guard let value = members[key] else { return nil }
        guard case .array(let elements) = value, elements.count <= 64 else {
            throw fault(key, "not a short list")
        }
        var numbers: [Float] = []
        for element in elements {
            switch element {
            case .integer(let integer): numbers.append(Float(integer))
            case .number(let number): numbers.append(Float(number))
            default: throw fault(key, "not a list of numbers")
            }
        }
        return numbers
    }

    /// An integer, or a list of integers.
    func oneOrMore(_ key: String) throws(CheckpointError) -> [Int] {
        if case .array = members[key] { return try integers(key) ?? [] }
        return try integer(key).map { [$0] } ?? []
    }
}
