//! What a conversation is made of.

public import Documents

/// One message.
public struct Message: Sendable {
    public enum Role: Sendable, CaseIterable {
        case system, user, assistant
    }

    /// A piece of a message, in the order the model sees it.
    public enum Item: Sendable {
        /// Text of the user's: the spelling of a special token in it stays text.
        case text(String)
        case image(RGBImage)
    }

    public var role: Role
    public var items: [Item]

    public init(_ role: Role, _ items: [Item]) {
        self.role = role
        self.items = items
    }

    public init(_ role: Role, _ text: String) { self.init(role, [.text(text)]) }

    /// Its text, without its images.
    public var text: String {
        items.map { if case .text(let text) = $0 { text } else { "" } }.joined()
    }

    public var imageCount: Int { images.count }
}

/// How an answer is generated.
public struct GenerationOptions: Sendable {
    public var sampling = SamplingOptions()
    /// The most tokens to generate; nil goes on until the answer ends or the context is full.
    public var maximumTokens: Int?
    /// Texts that end the answer; they are not part of it.
    public var stops: [String] = []
    /// Whether the model thinks before it answers; nil leaves it to the model. For chat formats that have the
    /// choice.
    public var thinks: Bool?
    /// Whether special tokens are shown as text.
    public var showsSpecialTokens = false

    public init() {}
}

/// Why a generation ended.
public enum FinishReason: String, Sendable, CaseIterable {
    /// The model ended its answer, or a stop text was met.
    case stop
    /// `maximumTokens` were generated, or the context is full.
    case length
    /// The caller asked to stop.
    case cancelled
}

/// A finished generation.
public struct GenerationResult: Sendable {
    public var text: String
    public var finishReason: FinishReason
    /// Tokens of the prompt, visual tokens included.
    public var promptTokens: Int
    /// Tokens of the prompt that an earlier turn, or another conversation, had computed already.
    public var cachedTokens: Int
    /// Visual tokens among the prompt's.
    public var imageTokens: Int
    /// Images that went through the vision tower.
    public var imagesEncoded: Int
    /// Images that did not have to: the keys and values held them already, or their features came from memory
    /// or from disk.
    public var imagesCached: Int
    public var generatedTokens: Int
    /// Seconds until the features of all images were there.
    public var visionSeconds: Double
    /// Seconds from the call to the first token, vision included.
    public var firstTokenSeconds: Double
    /// Seconds from the first token to the last.
    public var decodeSeconds: Double

    /// Prompt tokens computed a second, vision not counted; nil where none was.
    public var prefillTokensPerSecond: Double? {
        let (tokens, seconds) = (promptTokens - cachedTokens, firstTokenSeconds - visionSeconds)
        // Without a first token, the prompt was not computed to its end.
        return generatedTokens > 0 && tokens > 0 && seconds > 0 ? Double(tokens) / seconds : nil
    }

    /// Tokens generated a second after the first; nil where there were none.
    public var decodeTokensPerSecond: Double? {
        generatedTokens > 1 && decodeSeconds > 0 ? Double(generatedTokens - 1) / decodeSeconds : nil
    }
}
