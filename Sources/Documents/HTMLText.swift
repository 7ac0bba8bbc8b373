//! HTML within Markdown: its text, without tags and without what no reader shows.

import CXML

/// The text of a piece of HTML.
struct HTMLText {
    private(set) var text = ""
    /// Comments, scripts and styles that were left out.
    private(set) var hiddenPieces = 0

    init(_ html: String) {
        var rest = html[...]
        while let open = rest.firstIndex(of: "<") {
            append(rest[..<open])
            rest = rest[open...]
            if rest.hasPrefix("<!--") {
                hiddenPieces += 1
                rest = Self.drop(rest, through: "-->")
            } else if let name = ["script", "style", "template"].first(where: { Self.opens($0, rest) }) {
                hiddenPieces += 1
                rest = Self.drop(rest, through: "</\(name)")
                rest = Self.drop(rest, through: ">")
            } else {
                if Self.opens("br", rest) { text += "\n" }
                rest = Self.drop(rest, through: ">")
            }
        }
        append(rest)
    }

    /// Whether a tag of this name begins what is left.
    private static func opens(_ name: String, _ rest: Substring) -> Bool {
        let rest = rest.dropFirst()
        guard rest.prefix(name.count).lowercased() == name else { return false }
        return rest.dropFirst(name.count).first.map { !$0.isLetter && !$0.isNumber } ?? true
    }

    /// What follows `end`, in whatever case it is written; nothing where it does not come.
    private static func drop(_ rest: Substring, through end: String) -> Substring {
        let wanted = Array(end.utf8)
        var found = 0
        var index = rest.utf8.startIndex
        while index < rest.utf8.endIndex {
            let byte = rest.utf8[index]
            let lower = (0x41...0x5A).contains(byte) ? byte + 32 : byte
            if lower == wanted[found] {
                found += 1
            } else if found != 2 || lower != wanted[1] {
                // Of a third hyphen before the end of a comment, two are still begun; else no end has another
                // one's beginning within it.
                found = lower == wanted[0] ? 1 : 0
            }
            index = rest.utf8.index(after: index)
            if found == wanted.count { return rest[index...] }
        }
        return rest[rest.endIndex...]
    }

    private mutating func append(_ piece: Substring) {
        var rest = piece
        while let start = rest.firstIndex(of: "&") {
            text += rest[..<start]
            rest = rest[start...]
            guard let end = rest.prefix(50).firstIndex(of: ";") else { break }
            text += Self.character(String(rest[...end]))
            rest = rest[rest.index(after: end)...]
        }
        text += rest
    }

    /// What `&name;`, `&#8212;` or `&#x2014;` stands for; itself where it is not known.
    static func character(_ entity: String) -> String {
        let name = entity.dropFirst().dropLast()
        if name.hasPrefix("#") {
            let digits = name.dropFirst()
            let isHexadecimal = digits.hasPrefix("x") || digits.hasPrefix("X")
            let value = isHexadecimal ? UInt32(digits.dropFirst(), radix: 16) : UInt32(digits)
            guard let scalar = value.flatMap({ $0 == 0 ? nil : Unicode.Scalar($0) }) else {
                return "\u{FFFD}"
            }
            return String(Character(scalar))
        }
        guard let known = unsafe htmlEntityLookup(String(name)),
            let scalar = unsafe Unicode.Scalar(known.pointee.value)
        else { return entity }
        return String(Character(scalar))
    }
}
