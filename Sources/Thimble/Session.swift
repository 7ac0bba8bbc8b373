//! One conversation: its messages, and what the model has computed of them.

internal import Documents
internal import ModelFile
internal import Models
internal import Tensors
internal import Tokenizers

/// A conversation with a model. What one turn computed, the next turn reuses, and so do other conversations
/// of the engine that begin alike.
public final class Session {
    let engine: Engine
    /// The conversation so far.
    public private(set) var messages: [Message] = []
    /// What `sequence` holds the first positions of.
    var inputs = InputSequence()
    /// Where the next prompt's inputs are put together.
    private var next = InputSequence()
    let sequence: KVSequence
    /// The images of the last prompt, in order.
    private(set) var seen: [SeenImage] = []
    /// The images that were saved last, and where; none of a conversation that was cleared.
    var saved = SavedPictures()

    /// An image with its features, to know it by in the next prompt, where it mostly is the same array.
    struct SeenImage {
        let image: RGBImage
        let features: VisualFeatures
    }

    init(engine: Engine) {
        self.engine = engine
        sequence = KVSequence(pool: engine.pool, capacity: engine.contextLength)
    }

    /// A conversation that has begun: `sequence` holds the first positions of `inputs`, whose images are
    /// those of `seen`.
    init(
        engine: Engine, messages: [Message], inputs: InputSequence, seen: [SeenImage], sequence: KVSequence
    ) {
        self.engine = engine
        self.messages = messages
        self.inputs = inputs
        self.seen = seen
        self.sequence = sequence
    }

    /// Another conversation that has begun alike, and shares with this one what is computed until they part.
    public func fork() -> Session {
        Session(engine: engine, messages: messages, inputs: inputs, seen: seen, sequence: sequence.fork())
    }

    /// Adds a message to the conversation. Nothing is computed yet.
    public func append(_ message: Message) { messages.append(message) }

    /// Adds a piece to the last message, where that is of the same role, else as a message of its own.
    public func append(_ item: Message.Item, as role: Message.Role) {
        if messages.last?.role == role {
            messages[messages.count - 1].items.append(item)
        } else {
            messages.append(Message(role, [item]))
        }
    }

    /// Takes the last message back, one that could not be answered; what was computed before it stays.
    public func removeLastMessage() { _ = messages.popLast() }

    /// Tokens that keys and values are held of.
    public var tokenCount: Int { sequence.length }

    /// Forgets the conversation.
    public func clear() {
        messages = []
        seen = []
        saved = SavedPictures()
        inputs.removeAll()
        sequence.truncate(to: 0)
    }

    /// Takes back all messages but the first `count`; what was computed of those stays.
    ///
    /// Precondition: there are as many.
    public func rewind(to count: Int) {
        precondition((0...messages.count).contains(count))
        messages.removeSubrange(count...)
    }

    /// Answers the conversation, and adds the answer to it.
    ///
    /// `receive` gets the text as it comes, never half a character. `shouldStop` is asked before each layer
    /// of the model, so that a cancelled prompt ends soon; a cancelled answer is added as far as it came. On
    /// an error the conversation is as before.
    ///
    /// Throws `unsupported` where the model has no tokenizer or a chat template that is not known, or takes
    /// no images; `contextFull`, with both counts, before anything is computed; `invalidArgument` for options
    /// out of range; `outOfMemory`; `corrupt` where the logits are not numbers.
    public func generate(
        _ options: GenerationOptions = GenerationOptions(), shouldStop: () -> Bool = { false },
        receive: (String) -> Void
    ) throws(ThimbleError) -> GenerationResult {
        try begin(options).run(shouldStop: shouldStop, receive: receive)
    }

    /// Begins an answer to the conversation, which comes a token at a time and joins it at the end. Nothing
    /// is computed yet.
    ///
    /// Throws as `generate` does.
    public func begin(
        _ options: GenerationOptions = GenerationOptions()
    ) throws(ThimbleError) -> Generation {
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
        return try Generation(self, prompt, images: messages.flatMap(\.images), options, joins: true)
    }

    /// Continues a text that the caller has written whole, special tokens as their spelling: for models whose
    /// chat template is not known. `<|image|>`-like placeholders of the model stand for `images`, in order.
    /// The conversation's messages do not change.
    ///
    /// Throws as `generate` does, and `invalidArgument` where placeholders and images differ in number or the
    /// text is empty.
    public func complete(
        raw text: String, images: [RGBImage] = [], _ options: GenerationOptions = GenerationOptions(),
        shouldStop: () -> Bool = { false }, receive: (String) -> Void
    ) throws(ThimbleError) -> GenerationResult {
        try begin(raw: text, images: images, options).run(shouldStop: shouldStop, receive: receive)
    }

    /// Begins what `complete` does, a token at a time. Nothing is computed yet.
    ///
    /// Throws as `complete` does.
    public func begin(
        raw text: String, images: [RGBImage] = [], _ options: GenerationOptions = GenerationOptions()
    ) throws(ThimbleError) -> Generation {
        let ids = try engine.requireTokenizer().encode(trusted: text)
        let prompt = PromptPiece.split(ids, imageToken: engine.imageToken)
        return try Generation(self, prompt, images: images, options, joins: false)
    }

    /// Makes `inputs` those of a prompt, and the sequence that of its first positions. Returns how many are
    /// known already.
    func prepare(_ prompt: [PromptPiece], _ images: [RGBImage]) throws(ThimbleError) -> Int {
        try recognise(images)
        try assemble(prompt)
        return try reuse()
    }

    /// The positions that a prompt takes. Refuses one that cannot fit before any of it is computed.
    func countFitting(_ prompt: [PromptPiece], _ images: [RGBImage]) throws(ThimbleError) -> Int {
        guard !prompt.isEmpty else { throw ThimbleError(.invalidArgument, "the prompt is empty") }
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
        return needed
    }

    /// Makes `seen` hold `images`. Those that stand where the last prompt had the same ones are known without
    /// looking at them: a conversation mostly adds to its end.
    private func recognise(_ images: [RGBImage]) throws(ThimbleError) {
        for (index, image) in images.enumerated() {
            if index < seen.count {
                if seen[index].image == image { continue }
                seen.removeSubrange(index...)
            }
            seen.append(SeenImage(image: image, features: try engine.features(of: image)))
        }
        seen.removeSubrange(images.count...)
    }

    /// Makes `next` the inputs of `prompt`.
    private func assemble(_ prompt: [PromptPiece]) throws(ThimbleError) {
        next.removeAll()
        // Room for the answer too, so that a token that joins allocates nothing.
        next.reserve(engine.contextLength)
        var image = 0
        for piece in prompt {
            switch piece {
            case .token(let token):
                try engine.checkToken(token)
                next.append(token)
            case .image:
                next.append(seen[image].features, token: engine.imageToken ?? 0)
                image += 1
            }
        }
    }

    /// Makes `next` the inputs, and the sequence that of its first positions: of those that it holds already,
    /// and of what other conversations have computed. Returns how many.
    private func reuse() throws(ThimbleError) -> Int {
        let common = min(inputs.commonPrefixLength(with: next), sequence.length)
        swap(&inputs, &next)
        let (inputs, sequence) = (self.inputs, self.sequence)
        return try translating(engine.path) { () throws(ModelError) in
            try sequence.prepare(inputs, keeping: common)
        }
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
    /// Its images, in order.
    public var images: [RGBImage] {
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
