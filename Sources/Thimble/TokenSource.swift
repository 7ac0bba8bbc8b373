//! Where an answer's tokens come from: the device's own steps, or logits that the host draws from.

internal import Models
internal import Tensors

/// The tokens of one answer.
struct TokenSource {
    private let engine: Engine
    /// Draws from logits that come to the host; nil where the device draws.
    private var sampler: Sampler?
    private let parameters: DrawParameters
    /// Inputs before the answer.
    private let promptCount: Int
    /// The number of the device's turn in which it began to decode this answer: in any later one it has
    /// decoded others since. Nil before the first token.
    private var turn: Int?

    /// Drawn by the device, and not asked for yet: from `next` on.
    private var ahead: [Int32] = []
    private var next = 0
    /// How many tokens the next run draws: few at first, for the first words shall not wait.
    private var runLength = 1

    init(_ engine: Engine, _ options: SamplingOptions, _ inputs: InputSequence) {
        self.engine = engine
        parameters = DrawParameters(options)
        promptCount = inputs.count
        if let decoder = engine.stepDecoder {
            ahead.reserveCapacity(decoder.mostInRun)
        } else {
            sampler = Sampler(
                options, prompt: inputs.tokens,
                vocabularySize: engine.model.configuration.text.vocabularySize)
        }
    }

    /// The token after `inputs`, which are the prompt and every token so far. Nil when the caller asked to
    /// stop.
    mutating func next(
        _ inputs: InputSequence, _ sequence: KVSequence, _ shouldStop: () -> Bool
    ) throws(ThimbleError) -> Int32? {
        if shouldStop() { return nil }
        if next < ahead.count {
            defer { next += 1 }
            return try checked(ahead[next])
        }
        guard let decoder = engine.stepDecoder else { return try drawOnHost(inputs, sequence, shouldStop) }
        guard let turn, turn == decoder.turn else {
            return try begin(decoder, inputs, sequence, shouldStop)
        }
        var drawn: [Int32] = []
        swap(&drawn, &ahead)
        drawn.removeAll(keepingCapacity: true)
        let count = runLength
        try translating(engine.path) { () throws(ModelError) in
            try decoder.decode(sequence, count: count) { tokens in
                for index in tokens.indices { drawn.append(tokens[index]) }
            }
        }
        runLength = min(2 * runLength, decoder.mostInRun)
        swap(&drawn, &ahead)
        next = 1
        return try checked(ahead[0])
    }

    /// Runs what the sequence does not hold yet, and draws from the logits.
    private mutating func drawOnHost(
        _ inputs: InputSequence, _ sequence: KVSequence, _ shouldStop: () -> Bool
    ) throws(ThimbleError) -> Int32? {
        var token: Int32?
        let model = engine.model
        try translating(engine.path) { () throws(ModelError) in
            try unsafe model.forward(inputs, into: sequence, logits: .last, shouldStop: shouldStop) {
                token = unsafe sampler?.next($0)
            }
        }
        return sequence.length == inputs.count ? try checked(token ?? -1) : nil
    }

    /// Runs what the sequence does not hold yet, the prompt or the last token, and lets the device draw the
    /// next one as if it had decoded nothing else.
    private mutating func begin(
        _ decoder: StepDecoder, _ inputs: InputSequence, _ sequence: KVSequence, _ shouldStop: () -> Bool
    ) throws(ThimbleError) -> Int32? {
        let model = engine.model
        try translating(engine.path) { () throws(ModelError) in
            try unsafe model.forward(inputs, into: sequence, logits: .kept, shouldStop: shouldStop) { _ in }
        }
        guard sequence.length == inputs.count else { return nil }
        let drawn = inputs.tokens[promptCount...]
        let draw = parameters.advanced(by: drawn.count)
        let token = try translating(engine.path) { () throws(ModelError) in
            try decoder.begin(inputs, sequence, draw: draw, drawn: drawn)
        }
        turn = decoder.turn
        runLength = 1
        return try checked(token ?? -1)
    }

    /// A negative token says that no logit was a number.
    private func checked(_ token: Int32) throws(ThimbleError) -> Int32 {
        guard token >= 0 else {
            throw ThimbleError(
                .corrupt, "\(engine.path): the model's logits are not numbers; verify the file")
        }
        return token
    }

    /// Forgets the keys and values of tokens that were drawn ahead and are no part of `inputs`, and lets
    /// others find those that are.
    func finish(_ inputs: InputSequence, _ sequence: KVSequence) {
        if sequence.length > inputs.count { sequence.truncate(to: inputs.count) }
        sequence.share(as: inputs)
    }
}

extension DrawParameters {
    /// Precondition: the options are valid.
    init(_ options: SamplingOptions) {
        self.init(
            temperature: options.temperature, topK: options.topK, topP: options.topP, minP: options.minP,
            repetitionPenalty: options.repetitionPenalty, frequencyPenalty: options.frequencyPenalty,
            presencePenalty: options.presencePenalty, seed: options.seed ?? UInt64.random(in: .min ... .max))
    }

    /// The same after so many draws of a token.
    func advanced(by count: Int) -> DrawParameters {
        var parameters = self
        parameters.seed &+= UInt64(count) &* SplitMix64.increment
        return parameters
    }
}
