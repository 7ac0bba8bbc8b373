//! Types that say themselves how they are written, as JSON.

/// How JSON is written. Keys are always sorted: the same value is the same text.
package struct JSONText: Sendable {
    package var keys = JSONKeys.unchanged
    /// Two spaces a level, a member or an element a line; else all is on one line.
    package var isIndented = false
    /// Whether `/` is written as `\/`.
    package var escapesSlashes = false

    package init(keys: JSONKeys = .unchanged, isIndented: Bool = false, escapesSlashes: Bool = false) {
        self.keys = keys
        self.isIndented = isIndented
        self.escapesSlashes = escapesSlashes
    }

    /// The text of a value that says itself how it is written. Throws for what JSON cannot say: a number that
    /// is infinite or none.
    package func text(of value: some Encodable) throws -> String {
        let node = JSONNode()
        try value.encode(to: JSONWriting(node: node, codingPath: [], keys: keys))
        var text = ""
        write(node, to: &text, indentation: "\n")
        return text
    }

    /// `indentation` begins a line at the node's level.
    private func write(_ node: JSONNode, to text: inout String, indentation: String) {
        let inner = indentation + "  "
        func separate(_ isFirst: Bool) {
            if !isFirst { text += "," }
            if isIndented { text += inner }
        }
        func end(_ mark: String, isEmpty: Bool) {
            if isIndented { text += isEmpty ? "\n" + indentation : indentation }
            text += mark
        }
        switch node.content {
        case nil: text += "{}"
        case .word(let word): text += word
        case .string(let string): write(string, to: &text)
        case .array(let elements):
            text += "["
            for (index, element) in elements.enumerated() {
                separate(index == 0)
                write(element, to: &text, indentation: inner)
            }
            end("]", isEmpty: elements.isEmpty)
        case .object(let members):
            text += "{"
            for (index, member) in members.sorted(by: { $0.key < $1.key }).enumerated() {
                separate(index == 0)
                write(member.key, to: &text)
                text += isIndented ? " : " : ":"
                write(member.value, to: &text, indentation: inner)
            }
            end("}", isEmpty: members.isEmpty)
        }
    }

    private func write(_ string: String, to text: inout String) {
        text += "\""
        for scalar in string.unicodeScalars {
            switch scalar {
            case "\"": text += "\\\""
            case "\\": text += "\\\\"
            case "/" where escapesSlashes: text += "\\/"
            case "\u{8}": text += "\\b"
            case "\u{C}": text += "\\f"
            case "\n": text += "\\n"
            case "\r": text += "\\r"
            case "\t": text += "\\t"
            case "\u{0}"..."\u{1F}":
                text += (scalar.value < 0x10 ? "\\u000" : "\\u00") + String(scalar.value, radix: 16)
            default: text.unicodeScalars.append(scalar)
            }
        }
        text += "\""
    }
}

/// A value that is being put together. Whoever writes to it holds it, wherever it stands by then.
final class JSONNode {
    enum Content {
        /// null, true, false or a number.
        case word(String)
        case string(String)
        case array([JSONNode])
        case object([String: JSONNode])
    }

    /// Nil until something is written.
    var content: Content?

    /// Adds a member, in place of one of that name.
    func add(_ name: String) -> JSONNode {
        let node = JSONNode()
        guard case .object(var members) = content else { preconditionFailure("a member of no object") }
        content = nil
        members[name] = node
        content = .object(members)
        return node
    }

    /// Adds an element.
    func append() -> JSONNode {
        let node = JSONNode()
        guard case .array(var elements) = content else { preconditionFailure("an element of no array") }
        content = nil
        elements.append(node)
        content = .array(elements)
        return node
    }
}
