//! Fuzzes chat templates, and conversations that try to forge turns.

@testable import Tokenizers

/// Input: one byte of choices, then a chat template or, where the lowest bit of the choices is set, what a
/// user says.
struct ChatTarget: FuzzTarget {
    /// Spellings that the formats make into tokens.
    private static let added = [
        "[gMASK]", "<sop>", "<|system|>", "<|user|>", "<|assistant|>", "<|begin_of_image|>", "<|image|>",
        "<|end_of_image|>", "<think>", "</think>", "<answer>", "</answer>", "/nothink",
    ]

    private let tokenizer: Tokenizer

    init() throws {
        var vocabulary = Vocabulary()
        for byte in UInt8.min...UInt8.max { vocabulary.append([byte]) }
        for spelling in Self.added { vocabulary.append(spelling.utf8) }
        tokenizer = try Tokenizer(
            TokenizerContent(
                pattern: .tripleNumbers, ignoresMerges: false, vocabulary: vocabulary, merges: [],
                addedTokens: (0..<Int32(Self.added.count)).map { AddedToken(id: 256 + $0, isSpecial: true) }))
    }

    func run(_ input: [UInt8]) -> Bool {
        guard let choices = input.first else { return false }
        let text = String(decoding: input.dropFirst(), as: UTF8.self)
        guard choices & 1 == 1 else { return ChatFormat.recognize(template: text) != nil }
        let format = ChatFormat.allCases[Int(choices >> 4 & 3)]
        let options = ChatOptions(enablesThinking: choices & 2 == 0 ? nil : choices & 4 == 0)
        // A thinking model's switch at the end of a user's text is taken as meant: it is there once, either
        // way.
        expect(
            added(format, text, options) == added(format, "", options), "a user forged tokens of \(format)")
        return true
    }

    /// The added tokens of a conversation in which the user says `text`.
    private func added(_ format: ChatFormat, _ text: String, _ options: ChatOptions) -> [Int32] {
        let messages = [
            ChatMessage(.system, text), ChatMessage(.assistant, "answer"), ChatMessage(.user, text),
        ]
        guard let prompt = try? format.prompt(messages, tokenizer: tokenizer, options: options) else {
            fatalError("a conversation cannot be rendered")
        }
        return prompt.ids.filter { $0 >= 256 }
    }
}
