//! The four ways in which TOML writes a text.

extension TOMLParser {
    /// A text in quotation marks, on one line.
    mutating func shortText() throws(TOMLFault) -> String {
        position += 1
        var text: [UInt8] = []
        while !skip("\"") {
            let byte = try textByte()
            if byte == UInt8(ascii: "\\") {
                text += try escaped()
            } else {
                text.append(byte)
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// A text in apostrophes, on one line, in which nothing is escaped.
    mutating func shortLiteral() throws(TOMLFault) -> String {
        position += 1
        var text: [UInt8] = []
        while !skip("'") { text.append(try textByte()) }
        return String(decoding: text, as: UTF8.self)
    }

    /// A text in three quotation marks each.
    mutating func longText() throws(TOMLFault) -> String {
        var text: [UInt8] = []
        try openLong()
        while try !closeLong(UInt8(ascii: "\""), &text) {
            if try skipNewline() {
                text.append(UInt8(ascii: "\n"))
                continue
            }
            let byte = try textByte()
            if byte != UInt8(ascii: "\\") {
                text.append(byte)
            } else if try !skipFoldedLines() {
                text += try escaped()
            }
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// A text in three apostrophes each.
    mutating func longLiteral() throws(TOMLFault) -> String {
        var text: [UInt8] = []
        try openLong()
        while try !closeLong(UInt8(ascii: "'"), &text) {
            text.append(try skipNewline() ? UInt8(ascii: "\n") : textByte())
        }
        return String(decoding: text, as: UTF8.self)
    }

    /// Moves over three quotes, and over an end of line right after them, which is no part of the text.
    private mutating func openLong() throws(TOMLFault) {
        position += 3
        _ = try skipNewline()
    }

    /// Moves over the three quotes that end a long text; false where they are not next. One or two more that
    /// stand before them are part of the text.
    private mutating func closeLong(_ quote: UInt8, _ text: inout [UInt8]) throws(TOMLFault) -> Bool {
        guard byte(0) == quote, byte(1) == quote, byte(2) == quote else { return false }
        for _ in 0..<2 where byte(3) == quote {
            text.append(quote)
            position += 1
        }
        position += 3
        return true
    }

    /// The next byte of a text, which may be anything but a control character or the end of the file.
    private mutating func textByte() throws(TOMLFault) -> UInt8 {
        guard let byte = next else { throw fault("a text does not end") }
        guard byte != UInt8(ascii: "\n"), byte != UInt8(ascii: "\r") else {
            throw fault("a text does not end on its line")
        }
        try requirePlain(byte)
        position += 1
        return byte
    }

    /// After a backslash in a long text: moves over the end of the line and all white space after it; false
    /// where there is more on the line.
    private mutating func skipFoldedLines() throws(TOMLFault) -> Bool {
        let (start, startLine) = (position, line)
        skipBlanks()
        guard try skipNewline() else {
            (position, line) = (start, startLine)
            return false
        }
        repeat { skipBlanks() } while try skipNewline()
        return true
    }

    /// After a backslash: the UTF-8 of what the escape stands for.
    private mutating func escaped() throws(TOMLFault) -> [UInt8] {
        guard let letter = next else { throw fault("a text does not end") }
        position += 1
        switch letter {
        case UInt8(ascii: "b"): return [0x08]
        case UInt8(ascii: "t"): return [0x09]
        case UInt8(ascii: "n"): return [0x0A]
        case UInt8(ascii: "f"): return [0x0C]
        case UInt8(ascii: "r"): return [0x0D]
        case UInt8(ascii: "\""), UInt8(ascii: "\\"): return [letter]
        case UInt8(ascii: "u"): return try scalar(digitCount: 4)
        case UInt8(ascii: "U"): return try scalar(digitCount: 8)
        default: throw fault("an unknown escape after a backslash; write two backslashes for one")
        }
    }

    private mutating func scalar(digitCount: Int) throws(TOMLFault) -> [UInt8] {
        var value: UInt32 = 0
        for _ in 0..<digitCount {
            guard let next, let digit = Character(UnicodeScalar(next)).hexDigitValue else {
                throw fault("an escape without its \(digitCount) hexadecimal digits")
            }
            value = value << 4 | UInt32(digit)
            position += 1
        }
        guard let scalar = UnicodeScalar(value) else {
            throw fault(
                "the escape of a character that is none: U+\(String(value, radix: 16, uppercase: true))")
        }
        return Array(String(scalar).utf8)
    }
}
