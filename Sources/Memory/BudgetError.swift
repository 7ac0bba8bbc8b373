//! What can be wrong with a budget.

/// A fault of a budget, of the file that states it, or of the name it is asked for by.
public struct BudgetError: Error, Sendable, Equatable, CustomStringConvertible {
    /// The kind of fault.
    public enum Code: String, Sendable {
        /// There is no such file or profile, or it cannot be read.
        case unreadable
        /// The file is no TOML, or says what no budget says.
        case malformed
        /// Memory for the file was refused.
        case outOfMemory
    }

    /// The kind of fault.
    public let code: Code
    /// The file at fault, as it was named; for a budget that is no file's, what it is, such as `budget`.
    public let file: String
    /// The key at fault with the table it stands in, such as `run.context`; nil where no key is at fault.
    public let key: String?
    /// The fault in one line: the key, what it is, and what it must be.
    public let message: String

    /// An error about `file`.
    public init(_ code: Code, file: String, key: String? = nil, _ message: String) {
        self.code = code
        self.file = file
        self.key = key
        self.message = message
    }

    /// One line: the file, the fault and the mend.
    public var description: String { "\(file): \(message)" }
}

extension String {
    /// The text on one line and not too long, as a message tells it.
    func onOneLine(atMost limit: Int = 60) -> String {
        let told = unicodeScalars.prefix(limit).map { scalar in
            switch scalar.properties.generalCategory {
            case .control, .format, .lineSeparator, .paragraphSeparator:
                "\\u{\(String(scalar.value, radix: 16))}"
            default: String(scalar)
            }
        }
        return told.joined() + (unicodeScalars.count > limit ? "..." : "")
    }

    /// The text on one line within quotation marks.
    var quoted: String { "\"\(onOneLine())\"" }
}
