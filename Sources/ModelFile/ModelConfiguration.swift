//! What a model is: the shapes and constants that the manifest carries and the model code computes with.

/// The hyperparameters of one model.
public struct ModelConfiguration: Codable, Sendable, Equatable {
    public enum Architecture: String, Codable, Sendable {
        /// `Glm4vForConditionalGeneration`: GLM-4.1V, Glyph, AutoGLM-Phone, GLM-4.6V-Flash.
        case glm4v
        /// `Glm4ForCausalLM`: GLM-4-9B-0414, text only.
        case glm4
    }

    public var architecture: Architecture
    public var text: TextConfiguration
    /// Nil for a text-only model.
    public var vision: VisionConfiguration?
    public var tokens: SpecialTokens
    /// Nil for a text-only model.
    public var image: ImageSettings?
    public var generation: GenerationDefaults

    public init(
        architecture: Architecture, text: TextConfiguration, vision: VisionConfiguration?,
        tokens: SpecialTokens,
        image: ImageSettings?, generation: GenerationDefaults
    ) {
        self.architecture = architecture
        self.text = text
        self.vision = vision
        self.tokens = tokens
        self.image = image
        self.generation = generation
    }
}

/// The decoder: GLM-4 with four norms a layer and partial interleaved rotary positions.
public struct TextConfiguration: Codable, Sendable, Equatable {
    public var hiddenSize: Int
    public var layerCount: Int
    public var headCount: Int
    public var kvHeadCount: Int
    public var headSize: Int
    public var intermediateSize: Int
    public var vocabularySize: Int
    /// The longest context the model was made for, in tokens.
    public var maximumPositions: Int
    public var rmsNormEpsilon: Float
    public var ropeTheta: Float
    /// How many of a head's dimensions are rotated, from the first. The angles are those of this size; where
    /// it is odd, its last dimension takes the next one along, as in the reference.
    public var rotarySize: Int
    /// Pairs of dimensions that follow the temporal, the height and the width position; sums to
    /// `rotaryPairs`. Empty for a text-only model, whose positions are one number.
    public var mropeSections: [Int]
    /// Whether the query, key and value projections have a bias.
    public var hasQKVBias: Bool
    /// Whether the head is the embedding matrix.
    public var tiesEmbedding: Bool

    public init(
        hiddenSize: Int, layerCount: Int, headCount: Int, kvHeadCount: Int, headSize: Int,
        intermediateSize: Int,
        vocabularySize: Int, maximumPositions: Int, rmsNormEpsilon: Float, ropeTheta: Float, rotarySize: Int,
        mropeSections: [Int], hasQKVBias: Bool, tiesEmbedding: Bool
    ) {
        self.hiddenSize = hiddenSize
        self.layerCount = layerCount
        self.headCount = headCount
        self.kvHeadCount = kvHeadCount
        self.headSize = headSize
        self.intermediateSize = intermediateSize
        self.vocabularySize = vocabularySize
        self.maximumPositions = maximumPositions
        self.rmsNormEpsilon = rmsNormEpsilon
        self.ropeTheta = ropeTheta
        self.rotarySize = rotarySize
        self.mropeSections = mropeSections
        self.hasQKVBias = hasQKVBias
        self.tiesEmbedding = tiesEmbedding
    }

    /// Pairs of a head's dimensions that are rotated.
    public var rotaryPairs: Int { (rotarySize + 1) / 2 }
}

/// The vision tower: patches, `depth` blocks, a strided downsample and a merger.
public struct VisionConfiguration: Codable, Sendable, Equatable {
    public var hiddenSize: Int
    public var depth: Int
    public var headCount: Int
    /// Width of the merger's MLP. The blocks' own MLP is `outputSize` wide.
    public var mergerIntermediateSize: Int
    /// Width of a visual token; equals the decoder's hidden size.
    public var outputSize: Int
    /// Pixels along one side of a patch.
    public var patchSize: Int
    /// Frames in a patch; a still image is repeated.
    public var temporalPatchSize: Int
    /// Patches along one side of a visual token.
    public var mergeSize: Int
    public var channelCount: Int
    /// Patches along one side of the learned position grid.
    public var positionGridSize: Int
    public var rmsNormEpsilon: Float
    public var ropeTheta: Float
    public var hasQKVBias: Bool

    public init(
        hiddenSize: Int, depth: Int, headCount: Int, mergerIntermediateSize: Int, outputSize: Int,
        patchSize: Int,
        temporalPatchSize: Int, mergeSize: Int, channelCount: Int, positionGridSize: Int,
        rmsNormEpsilon: Float,
        ropeTheta: Float, hasQKVBias: Bool
    ) {
        self.hiddenSize = hiddenSize
        self.depth = depth
        self.headCount = headCount
        self.mergerIntermediateSize = mergerIntermediateSize
        self.outputSize = outputSize
        self.patchSize = patchSize
        self.temporalPatchSize = temporalPatchSize
        self.mergeSize = mergeSize
        self.channelCount = channelCount
        self.positionGridSize = positionGridSize
        self.rmsNormEpsilon = rmsNormEpsilon
        self.ropeTheta = ropeTheta
        self.hasQKVBias = hasQKVBias
    }

    public var headSize: Int { hiddenSize / headCount }
    /// Values of one flattened patch: channels x frames x height x width.
    public var patchElementCount: Int { channelCount * temporalPatchSize * patchSize * patchSize }
}

/// Token ids that mean something to the model.
public struct SpecialTokens: Codable, Sendable, Equatable {
    /// Generation ends with any of these.
    public var endOfSequence: [Int]
    /// The placeholder that visual tokens replace; nil for a text-only model, and where the vocabulary lacks
    /// it.
    public var image: Int?
    public var imageStart: Int?
    public var imageEnd: Int?
    public var video: Int?

    public init(endOfSequence: [Int], image: Int?, imageStart: Int?, imageEnd: Int?, video: Int?) {
        self.endOfSequence = endOfSequence
        self.image = image
        self.imageStart = imageStart
        self.imageEnd = imageEnd
        self.video = video
    }
}

/// How an image becomes patches, as the reference `Glm4vImageProcessor` does it.
public struct ImageSettings: Codable, Sendable, Equatable {
    /// Limits on frames x height x width after resizing, in pixels; a still image counts `temporalPatchSize`
    /// frames.
    public var minimumPixels: Int
    public var maximumPixels: Int
    /// Red, green, blue; of values in 0...1.
    public var mean: [Float]
    public var standardDeviation: [Float]

    public init(minimumPixels: Int, maximumPixels: Int, mean: [Float], standardDeviation: [Float]) {
        self.minimumPixels = minimumPixels
        self.maximumPixels = maximumPixels
        self.mean = mean
        self.standardDeviation = standardDeviation
    }
}

/// Sampling that the model's authors ask for; nil where they leave it open.
public struct GenerationDefaults: Codable, Sendable, Equatable {
    public var samples: Bool
    public var temperature: Float?
    public var topK: Int?
    public var topP: Float?
    public var repetitionPenalty: Float?

    public init(samples: Bool, temperature: Float?, topK: Int?, topP: Float?, repetitionPenalty: Float?) {
        self.samples = samples
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.repetitionPenalty = repetitionPenalty
    }
}
