//! Telling a checkpoint's prompt format from its Jinja template.

import TextSearch

extension ChatFormat {
    /// The format that `template`, a checkpoint's Jinja chat template, stands for, or nil where none is
    /// known.
    ///
    /// Recognition goes by what the template writes: the tokens of the family must all be there, those of
    /// other families must not, and there must be no prose, for a template with a system prompt of its own
    /// would write more than the formats here. The caller of an unknown template must be told so: a wrong
    /// format costs quality without a sign.
    public static func recognize(template: String) -> ChatFormat? {
        guard template.utf8.count <= TokenizerLimits.maxTemplateBytes,
            let literals = TemplateLiterals(template),
            !literals.haveProse
        else { return nil }
        let hasFrame =
            literals.start(with: "[gMASK]<sop>")
            && ["<|user|>", "<|assistant|>", "add_generation_prompt"].allSatisfy(literals.templateContains)
        guard hasFrame else { return nil }
        let traits = Traits(
            images: literals.templateContains("<|begin_of_image|><|image|><|end_of_image|>"),
            systemTurns: literals.templateContains("<|system|>"),
            thinking: literals.templateContains("think"),
            lineBreakAfterAssistant: literals.generationPromptEndsLine)
        guard let format = allCases.first(where: { $0.traits == traits }) else { return nil }
        return format.details.allSatisfy(literals.templateContains) ? format : nil
    }

    /// What tells the four formats apart.
    private struct Traits: Equatable {
        var images: Bool
        var systemTurns: Bool
        var thinking: Bool
        var lineBreakAfterAssistant: Bool
    }

    private var traits: Traits {
        switch self {
        case .reader:
            Traits(images: true, systemTurns: false, thinking: false, lineBreakAfterAssistant: true)
        case .glm4v:
            Traits(images: true, systemTurns: true, thinking: false, lineBreakAfterAssistant: true)
        case .glm46v:
            Traits(images: true, systemTurns: true, thinking: true, lineBreakAfterAssistant: true)
        case .glm4:
            Traits(images: false, systemTurns: true, thinking: false, lineBreakAfterAssistant: false)
        }
    }

    /// Texts that the family's templates hold besides, without white space.
    private var details: [String] {
        switch self {
        case .reader, .glm4v: []
        case .glm46v: ["enable_thinking", "/nothink", "<think></think>", "split('</think>')"]
        case .glm4: ["!='system'"]
        }
    }
}

/// A Jinja template seen from outside: what it writes by itself, and what it contains.
private struct TemplateLiterals {
    /// The whole template without white space.
    private let compact: [UInt8]
    /// Texts outside tags, without what is written for tools alone.
    private var texts: [String] = []
    /// Strings in the expressions that the template writes.
    private var strings: [String] = []
    private let template: [UInt8]

    /// Takes a template apart, or fails where its tags do not match.
    init?(_ template: String) {
        self.template = Array(template.utf8)
        compact = self.template.filter { !Self.isWhiteSpace($0) }
        var rest = self.template[...]
        var toolDepth = 0
        while let open = Self.firstTag(rest) {
            if toolDepth == 0 { texts.append(String(decoding: rest[..<open], as: UTF8.self)) }
            let close: [UInt8] = [
                rest[open + 1] == UInt8(ascii: "{") ? UInt8(ascii: "}") : rest[open + 1], 0x7D,
            ]
            guard let end = rest[(open + 2)...].firstPlace(of: close) else { return nil }
            let body = rest[(open + 2)..<end.lowerBound]
            if close[0] == UInt8(ascii: "%") {
                toolDepth = Self.toolDepth(after: body, toolDepth)
            } else if close[0] == UInt8(ascii: "}"), toolDepth == 0 {
                strings += Self.strings(in: body)
            }
            rest = rest[end.upperBound...]
        }
        texts.append(String(decoding: rest, as: UTF8.self))
    }

    /// Whether the template writes words, not just tokens: for text outside tags anything but tokens counts,
    /// for strings (which are often names of fields) white space between letters or characters beyond ASCII.
    var haveProse: Bool {
        texts.contains { !Self.withoutTokens($0).isEmpty }
            || strings.contains {
                let rest = Self.withoutTokens(
                    $0.pieces(between: "\\n").joined(separator: " "), keepsInnerSpace: true)
                return rest.contains { $0 == 0x20 || $0 >= 0x80 }
            }
    }

    func start(with prefix: String) -> Bool { compact.starts(with: prefix.utf8) }

    func templateContains(_ text: String) -> Bool { compact[...].firstPlace(of: Array(text.utf8)) != nil }

    /// Whether a line break follows the last `<|assistant|>`, and no tag removes it.
    var generationPromptEndsLine: Bool {
        let pieces = template[...].pieces(between: Array("<|assistant|>".utf8))
        guard pieces.count > 1, let following = pieces.last else { return false }
        if following.starts(with: "\\n".utf8) { return true }
        guard following.first == 0x0A else { return false }
        let next = following.drop { Self.isWhiteSpace($0) }
        return !next.starts(with: "{%-".utf8) && !next.starts(with: "{{-".utf8)
    }

    private static func isWhiteSpace(_ byte: UInt8) -> Bool { byte == 0x20 || (0x09...0x0D).contains(byte) }

    private static func firstTag(_ bytes: ArraySlice<UInt8>) -> Int? {
        bytes.indices.dropLast().first {
            bytes[$0] == UInt8(ascii: "{") && [UInt8]("{%#".utf8).contains(bytes[$0 + 1])
        }
    }

    /// How many `if` blocks deep the template is in what it writes where there are tools.
    private static func toolDepth(after statement: ArraySlice<UInt8>, _ depth: Int) -> Int {
        let words = String(decoding: statement, as: UTF8.self).split { " \t\n-+".contains($0) }
        switch words.first {
        case "if": return depth > 0 || words.dropFirst().first == "tools" ? depth + 1 : 0
        case "endif": return max(depth - 1, 0)
        default: return depth
        }
    }

    /// The strings in an expression, without their quotes.
    private static func strings(in expression: ArraySlice<UInt8>) -> [String] {
        var result: [String] = []
        var rest = expression
        while let open = rest.firstIndex(where: { $0 == UInt8(ascii: "'") || $0 == UInt8(ascii: "\"") }) {
            let body = rest[(open + 1)...]
            let end = body.firstIndex(of: rest[open]) ?? body.endIndex
            result.append(String(decoding: body[..<end], as: UTF8.self))
            rest = rest[min(end + 1, rest.endIndex)...]
        }
        return result
    }

    /// The bytes of `text` that are neither in a token (`<...>` or `[gMASK]`) nor white space around the
    /// rest.
    private static func withoutTokens(_ text: String, keepsInnerSpace: Bool = false) -> [UInt8] {
        var rest: [UInt8] = []
        var isInToken = false
        for byte in text.pieces(between: "[gMASK]").joined().utf8 {
            if byte == UInt8(ascii: "<") { isInToken = true }
            if !isInToken { rest.append(byte) }
            if byte == UInt8(ascii: ">") { isInToken = false }
        }
        let trimmed = rest.drop(while: isWhiteSpace)
        let end = trimmed.lastIndex { !isWhiteSpace($0) }.map { $0 + 1 } ?? trimmed.startIndex
        return trimmed[..<end].filter { keepsInnerSpace || !isWhiteSpace($0) }
    }
}
