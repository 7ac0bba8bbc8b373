//! Flags that say how an answer is generated.

import ArgumentParser
import Thimble

/// Whether a model thinks before it answers.
enum ThinkingChoice: String, ExpressibleByArgument, CaseIterable {
    case on, off, auto
}

struct GenerationFlags: ParsableArguments {
    @Option(name: [.customShort("n"), .long], help: "The most tokens to generate.")
    var maxTokens: Int?

    @Option(help: "Temperature; 0 takes the likeliest token. Unset sampling flags follow the model's file.")
    var temp: Float?

    @Option(help: "Sample among the likeliest K tokens; 0 for all.")
    var topK: Int?

    @Option(help: "Sample among the likeliest tokens that make up this probability.")
    var topP: Float?

    @Option(help: "Leave out tokens less likely than this share of the likeliest.")
    var minP: Float?

    @Option(help: "Make tokens that were seen less likely; 1 for not.")
    var repetitionPenalty: Float?

    @Option(help: "Make tokens less likely by how often they were generated; 0 for not.")
    var frequencyPenalty: Float?

    @Option(help: "Make tokens that were generated less likely; 0 for not.")
    var presencePenalty: Float?

    @Option(help: "Seed of the draw: the same seed gives the same text.")
    var seed: UInt64?

    @Option(help: "End the answer before this text; can be repeated.")
    var stop: [String] = []

    @Option(help: "Think before answering, where the model can: on, off or auto.")
    var think: ThinkingChoice = .auto

    /// Refuses values out of range before a model is loaded.
    func validate() throws {
        if let maxTokens, maxTokens < 1 {
            throw ValidationError("--max-tokens is \(maxTokens); it must be 1 or more")
        }
        do { try applied(to: SamplingOptions()).validate() } catch { throw ValidationError(error.message) }
    }

    /// The options for a model whose own sampling is `defaults`.
    func options(defaults: SamplingOptions) -> GenerationOptions {
        var options = GenerationOptions()
        options.sampling = applied(to: defaults)
        options.maximumTokens = maxTokens
        options.stops = stop
        options.thinks = think == .auto ? nil : think == .on
        return options
    }

    private func applied(to defaults: SamplingOptions) -> SamplingOptions {
        var sampling = defaults
        sampling.temperature = temp ?? sampling.temperature
        sampling.topK = topK ?? sampling.topK
        sampling.topP = topP ?? sampling.topP
        sampling.minP = minP ?? sampling.minP
        sampling.repetitionPenalty = repetitionPenalty ?? sampling.repetitionPenalty
        sampling.frequencyPenalty = frequencyPenalty ?? sampling.frequencyPenalty
        sampling.presencePenalty = presencePenalty ?? sampling.presencePenalty
        sampling.seed = seed ?? sampling.seed
        return sampling
    }
}
