//! What a TOML text says, as a value, and how values are written.

/// A TOML text that cannot be read.
struct TOMLFault: Error, Equatable {
    /// From 1; nil where the fault is the text's as a whole.
    let line: Int?
    let detail: String
}

/// A value in a table, and the line where its key stands, from 1.
struct TOMLEntry: Equatable, Sendable {
    let line: Int
    let item: TOMLItem
}

/// A value of a TOML text.
enum TOMLItem: Equatable, Sendable {
    case text(String)
    case whole(Int)
    case number(Double)
    case truth(Bool)
    case list([TOMLItem])
    case table([String: TOMLEntry])

    /// What a message says of the value.
    var summary: String {
        switch self {
        case .text(let text): text.quoted
        case .whole(let number): String(number)
        case .number(let number): String(number)
        case .truth(let truth): String(truth)
        case .list: "a list"
        case .table: "a table"
        }
    }
}

extension TOMLItem {
    /// A text as TOML writes it, on one line.
    static func written(_ text: String) -> String {
        var written = "\""
        for scalar in text.unicodeScalars {
            switch scalar {
            case "\"": written += "\\\""
            case "\\": written += "\\\\"
            case "\n": written += "\\n"
            case "\t": written += "\\t"
            case "\r": written += "\\r"
            case _ where scalar.value < 0x20 || scalar.value == 0x7F:
                let digits = String(scalar.value, radix: 16)
                written += "\\u\(String(repeating: "0", count: 4 - digits.count))\(digits)"
            default: written.unicodeScalars.append(scalar)
            }
        }
        return written + "\""
    }

    /// The name of a key as TOML writes it.
    static func writtenKey(_ name: String) -> String {
        !name.isEmpty && name.utf8.allSatisfy(isBareKeyByte) ? name : written(name)
    }

    /// Whether a key may have the byte without quotation marks.
    static func isBareKeyByte(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "_"):
            true
        default: false
        }
    }

    /// A number as TOML writes it: without a fraction where it has none and a whole number can say it.
    static func written(_ number: Double) -> String {
        abs(number) < 1e15 ? Int(exactly: number).map(String.init) ?? "\(number)" : "\(number)"
    }
}
