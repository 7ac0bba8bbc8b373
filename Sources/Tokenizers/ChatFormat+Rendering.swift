//! Rendering conversations to parts, turn by turn.

import TextSearch

extension ChatFormat {
    /// The parts of a conversation, in order. Joined, their texts are what the family's Jinja template
    /// writes.
    ///
    /// Throws where an image stands outside a user's turn, or the format has no images.
    public func parts(
        _ messages: [ChatMessage], options: ChatOptions = ChatOptions()
    ) throws(TokenizerError) -> [ChatPart] {
        try refuseMisplacedImages(messages)
        var parts: [ChatPart] = [.special("[gMASK]"), .special("<sop>")]
        let lastUser = messages.lastIndex { $0.role == .user } ?? -1
        for (index, message) in ordered(messages) {
            switch message.role {
            case .system:
                parts += [.special("<|system|>"), .trusted("\n"), .user(message.text)]
            case .user:
                parts += [.special("<|user|>"), .trusted("\n")]
                appendUserContent(message, options, to: &parts)
            case .assistant:
                parts += [.special("<|assistant|>"), .trusted("\n")]
                appendAnswer(message.text, keepsThinking: index > lastUser, to: &parts)
            }
        }
        if options.addsGenerationPrompt { appendGenerationPrompt(options, to: &parts) }
        return parts
    }

    private func refuseMisplacedImages(_ messages: [ChatMessage]) throws(TokenizerError) {
        for (index, message) in messages.enumerated() where message.content.contains(.image) {
            guard self != .glm4 else {
                throw TokenizerError("Turn \(index) has an image; the chat format \(rawValue) is text alone.")
            }
            guard message.role == .user else {
                throw TokenizerError(
                    "Turn \(index) has an image but is the \(message.role.rawValue)'s; "
                        + "images belong in user turns.")
            }
        }
    }

    /// The turns in the order of the prompt, each with its index in the conversation.
    private func ordered(_ messages: [ChatMessage]) -> [(Int, ChatMessage)] {
        let turns = Array(zip(messages.indices, messages))
        let others = turns.filter { $0.1.role != .system }
        switch self {
        case .reader: return others
        case .glm4: return turns.filter { $0.1.role == .system } + others
        case .glm4v, .glm46v: return turns
        }
    }

    private func appendUserContent(
        _ message: ChatMessage, _ options: ChatOptions, to parts: inout [ChatPart]
    ) {
        var text = ""
        for item in message.content {
            switch item {
            case .text(let string):
                text += string
            case .image:
                if !text.isEmpty { parts.append(.user(text)) }
                text = ""
                parts += [.special("<|begin_of_image|>"), .image, .special("<|end_of_image|>")]
            }
        }
        let disablesThinking = self == .glm46v && options.enablesThinking == false
        let switchOff = "/nothink"
        // A text that already ends in the switch gets no second one; its own becomes the token.
        if disablesThinking, text.utf8.suffix(switchOff.utf8.count).elementsEqual(switchOff.utf8) {
            text = String(decoding: text.utf8.dropLast(switchOff.utf8.count), as: UTF8.self)
        }
        if !text.isEmpty { parts.append(.user(text)) }
        if disablesThinking { parts.append(.markup(switchOff)) }
    }

    private func appendAnswer(_ text: String, keepsThinking: Bool, to parts: inout [ChatPart]) {
        guard self == .glm46v else {
            appendReply(text, to: &parts)
            return
        }
        let answer = ThoughtfulAnswer(text)
        parts.append(.markup("<think>"))
        if keepsThinking { appendReply(answer.thinking, to: &parts) }
        parts.append(.markup("</think>"))
        if !answer.rest.isEmpty {
            parts.append(.trusted("\n"))
            appendReply(answer.rest, to: &parts)
        }
    }

    /// Appends the text of an answer, in which the tokens of answers are themselves.
    private func appendReply(_ text: String, to parts: inout [ChatPart]) {
        let bytes = Array(text.utf8)
        var start = 0
        var index = 0
        while index < bytes.count {
            // Every token of answers starts with this byte, so others need no comparison.
            guard bytes[index] == UInt8(ascii: "<"),
                let markup = Self.replyMarkup.first(where: { bytes[index...].starts(with: $0.utf8) })
            else {
                index += 1
                continue
            }
            if start < index { parts.append(.user(String(decoding: bytes[start..<index], as: UTF8.self))) }
            parts.append(.markup(markup))
            index += markup.utf8.count
            start = index
        }
        if start < index { parts.append(.user(String(decoding: bytes[start...], as: UTF8.self))) }
    }

    private func appendGenerationPrompt(_ options: ChatOptions, to parts: inout [ChatPart]) {
        parts.append(.special("<|assistant|>"))
        // The text model was trained to write this line break itself.
        if self == .glm4 { return }
        parts.append(.trusted("\n"))
        if self == .glm46v, options.enablesThinking == false {
            parts += [.markup("<think>"), .markup("</think>"), .trusted("\n")]
        }
    }
}

extension ChatMessage {
    /// All texts joined.
    fileprivate var text: String {
        content.reduce(into: "") { joined, item in
            if case .text(let string) = item { joined += string }
        }
    }
}

/// An answer taken apart as the templates of the GLM-4.5 generation do.
private struct ThoughtfulAnswer {
    /// What stands between `<think>` and the first `</think>`, without white space around it.
    var thinking = ""
    /// What follows the last `</think>`, without white space around it.
    var rest: String

    init(_ text: String) {
        let pieces = text.pieces(between: "</think>")
        if pieces.count > 1 { thinking = Self.stripped(pieces[0].pieces(between: "<think>").last ?? "") }
        rest = Self.stripped(pieces.last ?? "")
    }

    /// `text` without what Python's `str.strip` takes for white space.
    private static func stripped(_ text: String) -> String {
        let scalars = text.unicodeScalars.drop(while: isWhiteSpace)
        guard let last = scalars.lastIndex(where: { !isWhiteSpace($0) }) else { return "" }
        return String(scalars[...last])
    }

    private static func isWhiteSpace(_ scalar: Unicode.Scalar) -> Bool {
        CharacterClass(scalar.value) == .space || (0x1C...0x1F).contains(scalar.value)
    }
}
