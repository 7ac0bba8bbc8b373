//! JSON as a value: integers stay exact.

/// One JSON value (RFC 8259).
package enum JSONValue: Equatable {
    case null
    case bool(Bool)
    case integer(Int)
    case number(Double)
    case string(String)
    case array([JSONValue])
    case object([String: JSONValue])

    /// How messages show the value: short, on one line.
    package var summary: String {
        switch self {
        case .null: "null"
        case .bool(let value): "\(value)"
        case .integer(let value): "\(value)"
        case .number(let value): "\(value)"
        case .string(let value): "\"\(value.prefix(64))\""
        case .array(let values): "an array of \(values.count)"
        case .object(let members): "an object of \(members.count)"
        }
    }
}

/// Where and why a text is not JSON.
package struct JSONFault: Error, Equatable, CustomStringConvertible {
    package let offset: Int
    package let detail: String

    package var description: String { "not valid JSON at byte \(offset): \(detail)" }
}
