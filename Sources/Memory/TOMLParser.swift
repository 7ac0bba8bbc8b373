//! Reads TOML 1.0 as budgets need it: everything but dates and lists of tables, which no budget has.

/// Reads a text from its first byte to its last. Depth is limited, for a table within a table is a call
/// within a call.
struct TOMLParser {
    /// UTF-8, checked.
    let bytes: [UInt8]
    var position = 0
    /// Of the byte at `position`, from 1.
    var line = 1
    /// How many headers have been read: keys with full stops reach into tables of their own section only.
    private var section = 0

    /// What the whole text says.
    static func parse(_ bytes: [UInt8]) throws(TOMLFault) -> [String: TOMLEntry] {
        guard String(validating: bytes, as: UTF8.self) != nil else {
            throw TOMLFault(line: nil, detail: "is not UTF-8; save it as UTF-8")
        }
        var parser = TOMLParser(bytes: bytes)
        return try parser.document()
    }

    private init(bytes: [UInt8]) { self.bytes = bytes }

    func fault(_ detail: String) -> TOMLFault { TOMLFault(line: line, detail: detail) }

    /// The next byte; nil at the end.
    var next: UInt8? { byte(0) }

    /// The byte at a distance from the next; nil beyond the end.
    func byte(_ distance: Int) -> UInt8? {
        position + distance < bytes.count ? bytes[position + distance] : nil
    }

    /// Moves over `character` where it is next.
    mutating func skip(_ character: Character) -> Bool {
        guard next == character.asciiValue else { return false }
        position += 1
        return true
    }

    private mutating func take(_ character: Character, _ place: String) throws(TOMLFault) {
        guard skip(character) else { throw fault("no '\(character)' \(place)") }
    }
}

/// A table that is being read.
private final class Table {
    enum Member {
        case item(TOMLItem)
        case table(Table)
    }

    var members: [String: (line: Int, member: Member)] = [:]
    /// Whether it is all there: a table with a header of its own or within braces.
    var isClosed = false
    /// Whether nothing can be added by any header, either: a table within braces.
    var isFrozen = false
    /// The section whose keys with full stops have opened it.
    var section: Int?

    /// The table as a value.
    var entries: [String: TOMLEntry] {
        members.mapValues { line, member in
            switch member {
            case .item(let item): TOMLEntry(line: line, item: item)
            case .table(let table): TOMLEntry(line: line, item: .table(table.entries))
            }
        }
    }
}

// MARK: Lines

extension TOMLParser {
    private mutating func document() throws(TOMLFault) -> [String: TOMLEntry] {
        if bytes.starts(with: [0xEF, 0xBB, 0xBF]) { position = 3 }
        let root = Table()
        var current = root
        while next != nil {
            skipBlanks()
            if next == UInt8(ascii: "[") {
                current = try header(in: root)
            } else if ![nil, UInt8(ascii: "#"), UInt8(ascii: "\n"), UInt8(ascii: "\r")].contains(next) {
                try keyAndValue(into: current, depth: 0)
            }
            try endLine()
        }
        return root.entries
    }

    /// Moves over blanks within a line.
    mutating func skipBlanks() {
        while skip(" ") || skip("\t") {}
    }

    /// Moves to the next line, over blanks and a comment.
    private mutating func endLine() throws(TOMLFault) {
        skipBlanks()
        try skipComment()
        guard try skipNewline() || next == nil else {
            throw fault("more on the line than a key and its value")
        }
    }

    private mutating func skipComment() throws(TOMLFault) {
        guard skip("#") else { return }
        while let next, !isNewline {
            try requirePlain(next)
            position += 1
        }
    }

    /// Moves over one end of line; false where there is none.
    mutating func skipNewline() throws(TOMLFault) -> Bool {
        guard isNewline else { return false }
        position += next == UInt8(ascii: "\r") ? 2 : 1
        line += 1
        return true
    }

    private var isNewline: Bool {
        next == UInt8(ascii: "\n") || next == UInt8(ascii: "\r") && byte(1) == UInt8(ascii: "\n")
    }

    /// Moves over blanks, ends of lines and comments.
    private mutating func skipLines() throws(TOMLFault) {
        repeat {
            skipBlanks()
            try skipComment()
        } while try skipNewline()
    }

    /// Refuses what TOML allows nowhere as it is: control characters but for tabs.
    func requirePlain(_ byte: UInt8) throws(TOMLFault) {
        guard byte >= 0x20 && byte != 0x7F || byte == UInt8(ascii: "\t") else {
            throw fault("a control character, byte \(byte); take it away")
        }
    }
}

// MARK: Keys and tables

extension TOMLParser {
    /// The table that the header at hand begins.
    private mutating func header(in root: Table) throws(TOMLFault) -> Table {
        position += 1
        guard next != UInt8(ascii: "[") else { throw fault("a list of tables; no budget has one") }
        let key = try key()
        try take("]", "at the end of a table's name")
        section += 1
        var table = root
        for name in key {
            if let known = table.members[name] {
                guard case .table(let inner) = known.member, !inner.isFrozen else {
                    throw fault("\(name.quoted) has a value already, from line \(known.line)")
                }
                table = inner
            } else {
                let inner = Table()
                table.members[name] = (line, .table(inner))
                table = inner
            }
        }
        guard !table.isClosed && table.section == nil else {
            throw fault(
                "the table \(key.joined(separator: ".").quoted) is there already; put the two together")
        }
        table.isClosed = true
        return table
    }

    private mutating func keyAndValue(into table: Table, depth: Int) throws(TOMLFault) {
        let (line, key) = (line, try key())
        try take("=", "after a key")
        var table = table
        for name in key.dropLast() {
            if let known = table.members[name] {
                guard case .table(let inner) = known.member, !inner.isClosed,
                    inner.section ?? section == section
                else { throw fault("\(name.quoted) has a value already, from line \(known.line)") }
                table = inner
            } else {
                let inner = Table()
                table.members[name] = (line, .table(inner))
                table = inner
            }
            table.section = section
        }
        skipBlanks()
        let value = try value(depth: depth)
        let name = key[key.count - 1]
        if let known = table.members.updateValue((line, value), forKey: name) {
            throw fault("\(name.quoted) has a value already, from line \(known.line)")
        }
    }

    /// The names of a key, of which all but the last are tables.
    private mutating func key() throws(TOMLFault) -> [String] {
        var names: [String] = []
        repeat {
            skipBlanks()
            switch next {
            case UInt8(ascii: "\""): names.append(try shortText())
            case UInt8(ascii: "'"): names.append(try shortLiteral())
            default: names.append(try bareKey())
            }
            skipBlanks()
            guard names.count <= MemoryLimits.maximumDepth else { throw depthFault }
        } while skip(".")
        return names
    }

    private mutating func bareKey() throws(TOMLFault) -> String {
        let rest = bytes[position...]
        let name = rest.prefix { TOMLItem.isBareKeyByte($0) }
        guard !name.isEmpty else { throw fault("no key where one is due; write key = value") }
        position += name.count
        return String(decoding: name, as: UTF8.self)
    }

    private var depthFault: TOMLFault {
        fault("more than \(MemoryLimits.maximumDepth) tables or lists within one another; take some away")
    }
}

// MARK: Values

extension TOMLParser {
    private mutating func value(depth: Int) throws(TOMLFault) -> Table.Member {
        guard depth < MemoryLimits.maximumDepth else { throw depthFault }
        switch next {
        case UInt8(ascii: "\""):
            return .item(.text(try byte(1) == next && byte(2) == next ? longText() : shortText()))
        case UInt8(ascii: "'"):
            return .item(.text(try byte(1) == next && byte(2) == next ? longLiteral() : shortLiteral()))
        case UInt8(ascii: "["): return .item(.list(try items(depth: depth)))
        case UInt8(ascii: "{"): return .table(try inlineTable(depth: depth))
        default: return .item(try word())
        }
    }

    private mutating func items(depth: Int) throws(TOMLFault) -> [TOMLItem] {
        position += 1
        var items: [TOMLItem] = []
        try skipLines()
        while !skip("]") {
            switch try value(depth: depth + 1) {
            case .item(let item): items.append(item)
            case .table(let table): items.append(.table(table.entries))
            }
            try skipLines()
            if skip(",") {
                try skipLines()
            } else {
                try require("]", "at the end of a list, or ',' before its next value")
            }
        }
        return items
    }

    private func require(_ character: Character, _ place: String) throws(TOMLFault) {
        guard next == character.asciiValue else { throw fault("no '\(character)' \(place)") }
    }

    private mutating func inlineTable(depth: Int) throws(TOMLFault) -> Table {
        position += 1
        let table = Table()
        skipBlanks()
        if !skip("}") {
            repeat {
                try keyAndValue(into: table, depth: depth + 1)
                skipBlanks()
            } while skip(",")
            try take("}", "at the end of a table within braces")
        }
        table.freeze()
        return table
    }

    /// A number, true or false.
    private mutating func word() throws(TOMLFault) -> TOMLItem {
        let word = bytes[position...].prefix { byte in
            TOMLItem.isBareKeyByte(byte)
                || [UInt8(ascii: "+"), UInt8(ascii: "."), UInt8(ascii: ":")].contains(byte)
        }
        let text = String(decoding: word, as: UTF8.self)
        switch text {
        case "": throw fault("no value where one is due; a text stands in quotation marks")
        case "true": position += word.count; return .truth(true)
        case "false": position += word.count; return .truth(false)
        default: break
        }
        guard let number = try TOMLItem(number: text, line: line) else {
            throw fault("\(text.quoted) is no value; a text stands in quotation marks")
        }
        position += word.count
        return number
    }
}

extension Table {
    /// Lets nothing be added any more, here and in what lies within.
    fileprivate func freeze() {
        (isClosed, isFrozen) = (true, true)
        for case (_, .table(let inner)) in members.values { inner.freeze() }
    }
}
