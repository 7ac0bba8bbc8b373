//! How the next token is chosen.

internal import ModelFile

/// Sampling parameters. The default is greedy: the likeliest token, every time.
public struct SamplingOptions: Sendable, Equatable {
    /// Divides the logits; 0 is greedy.
    public var temperature: Float = 0
    /// Keeps the `topK` likeliest tokens; 0 keeps all.
    public var topK: Int = 0
    /// Keeps the likeliest tokens whose probabilities sum to `topP`; 1 keeps all.
    public var topP: Float = 1
    /// Drops tokens less likely than `minP` times the likeliest; 0 drops none.
    public var minP: Float = 0
    /// Divides the positive and multiplies the negative logits of tokens seen, prompt included (CTRL, Keskar
    /// et al. 2019); 1 changes nothing.
    public var repetitionPenalty: Float = 1
    /// Subtracted from a token's logit for each time it was generated; 0 changes nothing.
    public var frequencyPenalty: Float = 0
    /// Subtracted once from the logit of each token that was generated; 0 changes nothing.
    public var presencePenalty: Float = 0
    /// Seeds the draw: the same seed and prompt give the same text. Nil draws a seed.
    public var seed: UInt64?

    /// Greedy, nothing penalised.
    public init() {}

    /// As a model file asks for it. Penalties hold for greedy decoding too; a `topP` of 0 means the likeliest
    /// token.
    init(_ defaults: GenerationDefaults) {
        repetitionPenalty = defaults.repetitionPenalty ?? 1
        guard defaults.samples else { return }
        temperature = defaults.temperature ?? 1
        topK = defaults.topK ?? 0
        topP = max(defaults.topP ?? 1, .leastNormalMagnitude)
    }

    /// Throws `.invalidArgument` naming the first parameter outside its range.
    public func validate() throws(ThimbleError) {
        func check(_ holds: Bool, _ name: String, _ value: some CustomStringConvertible, _ range: String)
            throws(ThimbleError)
        {
            guard holds else {
                throw ThimbleError(.invalidArgument, "\(name) is \(value); it must be \(range)")
            }
        }
        try check(temperature >= 0 && temperature.isFinite, "temperature", temperature, "0 or more")
        try check(topK >= 0, "top-k", topK, "0 (off) or more")
        try check(topP > 0 && topP <= 1, "top-p", topP, "above 0 and at most 1")
        try check(minP >= 0 && minP <= 1, "min-p", minP, "in 0...1")
        try check(
            repetitionPenalty > 0 && repetitionPenalty.isFinite, "repetition penalty", repetitionPenalty,
            "above 0")
        try check(frequencyPenalty.isFinite, "frequency penalty", frequencyPenalty, "a number")
        try check(presencePenalty.isFinite, "presence penalty", presencePenalty, "a number")
    }
}
