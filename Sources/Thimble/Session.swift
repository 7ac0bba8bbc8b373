//! One conversation: its messages, and what the model has computed of them.

internal import Documents
internal import ModelFile
internal import Models
internal import Tensors
internal import Tokenizers

/// A conversation with a model. It owns its keys and values; what one turn computed, the next turn reuses.
public final class Session {
    let engine: Engine
    /// The conversation so far.
    public private(set) var messages: [Message] = []
    private var inputs = InputSequence()
    private let sequence: KVSequence
    /// Visual features of each image of `messages`, in order.
    private var features: [VisualFeatures] = []

    init(engine: Engine) {
        self.engine = engine
        sequence = KVSequence(pool: engine.pool, capacity: engine.contextLength)
    }

    /// Adds a message to the conversation. Nothing is computed yet.
    public func append(_ message: Message) { messages.append(message) }

    /// Takes the last message back, one that could not be answered; what was computed before it stays.
    public func removeLastMessage() { _ = messages.popLast() }

    /// Forgets the conversation.
    public func clear() {
        messages = []
        features = []
        inputs = InputSequence()
        sequence.truncate(to: 0)
    }

    /// Answers the conversation, and adds the answer to it.
    ///
    /// `receive` gets the text as it comes, never half a character. `shouldStop` is asked before each token, and
    /// between the chunks of a long prompt. On an error the conversation is as before.
    public func generate(
        _ options: GenerationOptions = GenerationOptions(), shouldStop: () -> Bool = { false },
        receive: (String) -> Void
    ) throws(ThimbleError) -> GenerationResult {
        guard let format = engine.chatFormat else {
            throw ThimbleError(
                .unsupported,
                "\(engine.path) has a chat template that is not known here; write the prompt with --raw")
        }
        let tokenizer = try engine.requireTokenizer()
        let prompt: [PromptPiece]
        do {
            let options = ChatOptions(enablesThinking: options.thinks)
            prompt = PromptPiece.split(
                try format.prompt(messages.map(\.chatMessage), tokenizer: tokenizer, options: options))
        } catch { throw ThimbleError(.unsupported, "\(engine.path): \(error)") }
        let images = messages.flatMap(\.images)
        let result = try answer(prompt, images: images, options, shouldStop: shouldStop, receive: receive)
        messages.append(Message(.assistant, result.text))
        return result
    }

    /// Continues a text that the caller has written whole, special tokens as their spelling: for models whose chat
    /// template is not known. `<|image|>`-like placeholders of the model stand for `images`, in order.
    public func complete(
        raw text: String, images: [RGBImage] = [], _ options: GenerationOptions = GenerationOptions(),
        shouldStop: () -> Bool = { false }, receive: (String) -> Void
    ) throws(ThimbleError) -> GenerationResult {
        let tokenizer = try engine.requireTokenizer()
        let ids = tokenizer.encode(trusted: text)
        return try answer(
            PromptPiece.split(ids, imageToken: engine.imageToken), images: images, options,
            shouldStop: shouldStop,
            receive: receive)
    }

    private func answer(
        _ prompt: [PromptPiece], images: [RGBImage], _ options: GenerationOptions, shouldStop: () -> Bool,
        receive: (String) -> Void
    ) throws(ThimbleError) -> GenerationResult {
        try options.sampling.validate()
        let clock = ContinuousClock()
        let start = clock.now
        try checkFits(prompt, images)
        try encode(images)
        let visionSeconds = start.duration(to: clock.now).seconds
        let next = try assemble(prompt)
        let cached = reusablePrefix(of: next)
        inputs = next
        sequence.truncate(to: cached)
        var generation = Generation(
            session: self, options: options, promptTokens: next.count, start: start,
            visionSeconds: visionSeconds)
        generation.cachedTokens = cached
        generation.imageTokens = features.reduce(0) { $0 + $1.grid.count }
        return try generation.run(&inputs, sequence, shouldStop: shouldStop, receive: receive)
    }

    /// Refuses a prompt that cannot fit before any of it is computed.
    private func checkFits(_ prompt: [PromptPiece], _ images: [RGBImage]) throws(ThimbleError) {
        let placeholders = prompt.count { $0 == .image }
        guard placeholders == images.count else {
            throw ThimbleError(
                .invalidArgument,
                "the prompt has \(placeholders) image placeholders and \(images.count) images")
        }
        var needed = prompt.reduce(0) { $0 + ($1 == .image ? 0 : 1) }
        for image in images { needed += try engine.visualGrid(of: image).count }
        // One more for the first token of the answer.
        guard needed < engine.contextLength else {
            throw .contextFull(needed: needed + 1, capacity: engine.contextLength)
        }
    }

    /// Encodes the images that are new since the last turn; images are only ever added.
    private func encode(_ images: [RGBImage]) throws(ThimbleError) {
        if features.count > images.count { features.removeLast(features.count - images.count) }
        for image in images[features.count...] { features.append(try engine.encode(image)) }
    }

    private func assemble(_ prompt: [PromptPiece]) throws(ThimbleError) -> InputSequence {
        var next = InputSequence()
        var image = 0
        for piece in prompt {
            switch piece {
            case .token(let token):
                try engine.checkToken(token)
                next.append(token)
            case .image:
                next.append(features[image], token: engine.imageToken ?? 0)
                image += 1
            }
        }
        return next
    }

    /// How many positions of `next` the sequence holds already; at least one is left to compute, for its logits.
    private func reusablePrefix(of next: InputSequence) -> Int {
        min(inputs.commonPrefixLength(with: next), sequence.length, next.count - 1)
    }
}

/// One element of a prompt before images are expanded.
enum PromptPiece: Equatable {
    case token(Int32)
    case image

    /// The ids of a rendered conversation.
    static func split(_ prompt: ChatPrompt) -> [PromptPiece] {
        var pieces = prompt.ids.map { PromptPiece.token($0) }
        for position in prompt.imagePositions { pieces[position] = .image }
        return pieces
    }

    /// Ids in which every placeholder is an image.
    static func split(_ tokens: [Int32], imageToken: Int32?) -> [PromptPiece] {
        tokens.map { $0 == imageToken ? .image : .token($0) }
    }
}

extension Message {
    var images: [RGBImage] {
        items.compactMap { if case .image(let image) = $0 { image } else { nil } }
    }

    /// The message as a chat format takes it: images by their places.
    var chatMessage: ChatMessage {
        let role: ChatMessage.Role =
            switch self.role {
            case .system: .system
            case .user: .user
            case .assistant: .assistant
            }
        return ChatMessage(
            role,
            items.map {
                switch $0 {
                case .text(let text): .text(text)
                case .image: .image
                }
            })
    }
}
