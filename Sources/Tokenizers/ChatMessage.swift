//! Conversations, and the options and results of rendering them.

/// One turn of a conversation.
public struct ChatMessage: Hashable, Sendable {
    /// The parties to a conversation.
    public enum Role: String, Hashable, Sendable {
        case system
        case user
        case assistant
    }

    /// A part of what is said.
    public enum Content: Hashable, Sendable {
        /// Text, never read for special tokens.
        case text(String)
        /// The next of the conversation's images.
        case image
    }

    /// Who speaks.
    public var role: Role
    /// What is said, in order. Texts next to each other are one text.
    public var content: [Content]

    /// A turn of several parts.
    public init(_ role: Role, _ content: [Content]) {
        self.role = role
        self.content = content
    }

    /// A turn of text alone.
    public init(_ role: Role, _ text: String) {
        self.init(role, [.text(text)])
    }
}

/// How a conversation is rendered.
public struct ChatOptions: Hashable, Sendable {
    /// Whether the assistant's turn is opened at the end, for the model to go on.
    public var addsGenerationPrompt: Bool
    /// Whether the model should think before it answers; nil leaves it to the model. Only `glm46v` knows how.
    public var enablesThinking: Bool?

    /// Options; by default the assistant's turn is opened and thinking is left to the model.
    public init(addsGenerationPrompt: Bool = true, enablesThinking: Bool? = nil) {
        self.addsGenerationPrompt = addsGenerationPrompt
        self.enablesThinking = enablesThinking
    }
}

/// A piece of a rendered conversation, which says what it may become.
public enum ChatPart: Hashable, Sendable {
    /// An added token that the tokenizer must have, such as `<|user|>`.
    case special(String)
    /// An added token where the tokenizer has it, else its spelling as text: `<think>` and its like.
    case markup(String)
    /// Text of the format.
    case trusted(String)
    /// Text of the conversation, which never becomes an added token.
    case user(String)
    /// The placeholder of one image.
    case image

    /// The part as a chat template writes it.
    public var text: String {
        switch self {
        case .special(let text), .markup(let text), .trusted(let text), .user(let text): text
        case .image: ChatFormat.imageToken
        }
    }
}

/// The ids of a rendered conversation, with one placeholder id for each image.
public struct ChatPrompt: Hashable, Sendable {
    /// The ids.
    public let ids: [Int32]
    /// The index in `ids` of each image's placeholder, in the order of the images.
    public let imagePositions: [Int]

    /// The ids with each placeholder repeated, for an image takes many positions: `counts` has the number of
    /// positions of each image, and must have one entry for each.
    public func ids(imageTokenCounts counts: [Int]) -> [Int32] {
        precondition(counts.count == imagePositions.count, "one count is needed for each image")
        var result: [Int32] = []
        var start = 0
        for (position, count) in zip(imagePositions, counts) {
            result.append(contentsOf: ids[start..<position])
            result.append(contentsOf: repeatElement(ids[position], count: count))
            start = position + 1
        }
        result.append(contentsOf: ids[start...])
        return result
    }
}
