//! Reads JSON: what a text may ask for is limited before memory is taken.

extension JSONValue {
    /// Parses a whole text, before which a byte order mark may stand. What passes the limits is a fault.
    package init(parsing bytes: [UInt8], _ limits: JSONLimits = JSONLimits()) throws(JSONFault) {
        var parser = JSONParser(bytes: bytes, limits: limits)
        self = try parser.document()
    }
}

private struct JSONParser {
    let bytes: [UInt8]
    let limits: JSONLimits
    var position = 0
    var valueCount = 0

    /// What editors of some systems put before UTF-8.
    private static let mark: [UInt8] = [0xEF, 0xBB, 0xBF]

    mutating func document() throws(JSONFault) -> JSONValue {
        if bytes.starts(with: Self.mark) { position = Self.mark.count }
        let value = try value(depth: 0)
        skipSpace()
        guard position == bytes.count else { throw fault("text after the value") }
        return value
    }

    func fault(_ detail: String) -> JSONFault { JSONFault(offset: position, detail: detail) }

    /// The next byte, or 0 at the end: no valid text has a zero byte outside of a string.
    var next: UInt8 { position < bytes.count ? bytes[position] : 0 }

    mutating func skipSpace() {
        while next == 0x20 || next == 0x0A || next == 0x0D || next == 0x09 { position += 1 }
    }

    mutating func take(_ character: Character) throws(JSONFault) {
        skipSpace()
        guard next == character.asciiValue else { throw fault("expected '\(character)'") }
        position += 1
    }

    mutating func value(depth: Int) throws(JSONFault) -> JSONValue {
        guard depth < limits.depth else { throw fault("nested too deep") }
        valueCount += 1
        guard valueCount <= limits.valueCount else { throw fault("too many values") }
        skipSpace()
        switch next {
        case UInt8(ascii: "{"): return .object(try members(depth: depth))
        case UInt8(ascii: "["): return .array(try elements(depth: depth))
        case UInt8(ascii: "\""): return .string(try string())
        case UInt8(ascii: "t"): return try literal("true", .bool(true))
        case UInt8(ascii: "f"): return try literal("false", .bool(false))
        case UInt8(ascii: "n"): return try literal("null", .null)
        default: return try number()
        }
    }

    mutating func literal(_ text: String, _ value: JSONValue) throws(JSONFault) -> JSONValue {
        guard bytes[position...].starts(with: text.utf8) else { throw fault("unknown word") }
        position += text.utf8.count
        return value
    }

    mutating func members(depth: Int) throws(JSONFault) -> [String: JSONValue] {
        try take("{")
        var members: [String: JSONValue] = [:]
        skipSpace()
        while next != UInt8(ascii: "}") {
            if !members.isEmpty { try take(",") }
            skipSpace()
            let key = try string()
            try take(":")
            let value = try value(depth: depth + 1)
            if let first = members.updateValue(value, forKey: key) {
                guard limits.duplicateKeys == .ignored else {
                    throw fault("duplicate key \"\(key.prefix(64))\"")
                }
                members[key] = first
            }
            skipSpace()
        }
        position += 1
        return members
    }

    mutating func elements(depth: Int) throws(JSONFault) -> [JSONValue] {
        try take("[")
        var elements: [JSONValue] = []
        skipSpace()
        while next != UInt8(ascii: "]") {
            if !elements.isEmpty { try take(",") }
            elements.append(try value(depth: depth + 1))
            skipSpace()
        }
        position += 1
        return elements
    }

    mutating func string() throws(JSONFault) -> String {
        guard next == UInt8(ascii: "\"") else { throw fault("expected a string") }
        position += 1
        var text: [UInt8] = []
        while next != UInt8(ascii: "\"") {
            let start = position
            while next >= 0x20, next != UInt8(ascii: "\""), next != UInt8(ascii: "\\") { position += 1 }
            text += bytes[start..<position]
            if next == UInt8(ascii: "\\") {
                position += 1
                text += try escape()
            } else {
                guard next >= 0x20 else { throw fault("a string does not end") }
            }
        }
        position += 1
        guard let string = String(validating: text, as: UTF8.self) else {
            throw fault("a string is not UTF-8")
        }
        return string
    }

    private static let escapes: [UInt8: UInt8] = [
        UInt8(ascii: "\""): 0x22, UInt8(ascii: "\\"): 0x5C, UInt8(ascii: "/"): 0x2F, UInt8(ascii: "b"): 0x08,
        UInt8(ascii: "f"): 0x0C, UInt8(ascii: "n"): 0x0A, UInt8(ascii: "r"): 0x0D, UInt8(ascii: "t"): 0x09,
    ]

    mutating func escape() throws(JSONFault) -> [UInt8] {
        if next == UInt8(ascii: "u") { return try unicodeEscape() }
        guard let byte = Self.escapes[next] else { throw fault("unknown escape") }
        position += 1
        return [byte]
    }

    mutating func unicodeEscape() throws(JSONFault) -> [UInt8] {
        var units = [try codeUnit()]
        if UTF16.isLeadSurrogate(units[0]), next == UInt8(ascii: "\\") {
            position += 1
            units.append(try codeUnit())
        }
        guard let string = String(validating: units, as: UTF16.self) else {
            throw fault("unpaired surrogate")
        }
        return Array(string.utf8)
    }

    mutating func codeUnit() throws(JSONFault) -> UInt16 {
        guard next == UInt8(ascii: "u"), position + 5 <= bytes.count else { throw fault("unknown escape") }
        let digits = bytes[(position + 1)..<(position + 5)]
        guard digits.allSatisfy({ Character(UnicodeScalar($0)).isHexDigit }),
            let unit = UInt16(String(decoding: digits, as: UTF8.self), radix: 16)
        else { throw fault("unknown escape") }
        position += 5
        return unit
    }

    mutating func number() throws(JSONFault) -> JSONValue {
        let start = position
        if next == UInt8(ascii: "-") { position += 1 }
        let isZero = next == UInt8(ascii: "0")
        let digits = try digits()
        guard !isZero || digits == 1 else { throw fault("a number starts with zero") }
        var isInteger = true
        if next == UInt8(ascii: ".") {
            isInteger = false
            position += 1
            _ = try self.digits()
        }
        if next | 0x20 == UInt8(ascii: "e") {
            isInteger = false
            position += 1
            if next == UInt8(ascii: "+") || next == UInt8(ascii: "-") { position += 1 }
            _ = try self.digits()
        }
        let text = String(decoding: bytes[start..<position], as: UTF8.self)
        if isInteger, let value = Int(text) { return .integer(value) }
        guard let value = Double(text), value.isFinite else { throw fault("a number is out of range") }
        return .number(value)
    }

    /// Skips at least one digit; returns how many.
    mutating func digits() throws(JSONFault) -> Int {
        let start = position
        while (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(next) { position += 1 }
        guard position > start else { throw fault("expected a value") }
        return position - start
    }
}
