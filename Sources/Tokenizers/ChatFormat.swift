//! How each family of models wants a conversation written.

/// The prompt format of a family of models.
///
/// Checkpoints carry their format as a Jinja template. The few formats that matter are written here instead:
/// a template knows nothing of where its text comes from, so with it a user's text can forge turns; these
/// renderers keep apart what the format says and what the conversation says.
///
/// Where the formats come from: `reader`, the checkpoint's own template; `glm4v`, the published template of
/// GLM-4.1V-9B-Thinking (SHA-256 847603d3...); `glm46v`, the published template of its sibling GLM-OCR
/// (SHA-256 bf6cfe13...), which agrees with what is known of GLM-4.6V's; `glm4`, what is known of
/// GLM-4-9B-0414's and its siblings', for want of its text. Tools and video are not rendered.
///
/// Which tokens end the answer is not the format's to say: the checkpoint's generation settings list them.
public enum ChatFormat: String, CaseIterable, Hashable, Sendable {
    /// The small page reader: system turns are dropped.
    case reader
    /// GLM-4.1V-9B-Thinking, Glyph and AutoGLM-Phone.
    case glm4v
    /// GLM-4.6V and GLM-4.6V-Flash: thinking can be disabled, and past thinking is removed.
    case glm46v
    /// GLM-4-9B-0414: text alone, system turns first.
    case glm4

    /// The spelling of the placeholder of an image.
    public static let imageToken = "<|image|>"

    /// Tokens that a model writes within its answers. In an assistant's turn they are themselves, so that a
    /// past answer reads as it was written; none of them can begin a turn.
    static let replyMarkup = [
        "<think>", "</think>", "<answer>", "</answer>", "<|begin_of_box|>", "<|end_of_box|>",
    ]

    /// The ids of a conversation.
    ///
    /// Text next to text is encoded as one, whoever it comes from, as the reference implementation does with
    /// the text between two special tokens.
    ///
    /// Throws where the tokenizer lacks a token of the format, an image stands outside a user's turn, or the
    /// format has no images.
    public func prompt(
        _ messages: [ChatMessage], tokenizer: Tokenizer, options: ChatOptions = ChatOptions()
    ) throws(TokenizerError) -> ChatPrompt {
        var ids: [Int32] = []
        var imagePositions: [Int] = []
        var text = ""
        for part in try parts(messages, options: options) {
            let added: Int32
            switch part {
            case .trusted(let string), .user(let string):
                text += string
                continue
            case .markup(let name):
                guard let id = tokenizer.id(ofSpecial: name) else {
                    text += name
                    continue
                }
                added = id
            case .special, .image:
                guard let id = tokenizer.id(ofSpecial: part.text) else {
                    throw TokenizerError(
                        "The chat format \(rawValue) needs the token \(part.text), which the tokenizer lacks."
                    )
                }
                added = id
            }
            ids.append(contentsOf: tokenizer.encode(text))
            text = ""
            if part == .image { imagePositions.append(ids.count) }
            ids.append(added)
        }
        ids.append(contentsOf: tokenizer.encode(text))
        return ChatPrompt(ids: ids, imagePositions: imagePositions)
    }
}
