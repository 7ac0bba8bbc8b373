//! Every limit on hyperparameters, in one place.

/// The ranges of hyperparameters that this program computes with: beyond any published model of the family,
/// and small enough that no product of a few of them overflows.
enum ConfigurationLimits {
    static let hiddenSize = 1...65_536
    /// Layers of the decoder, blocks of the tower.
    static let layerCount = 1...1024
    static let headCount = 1...1024
    /// What the attention kernels keep in their scratch.
    static let textHeadSize = 2...256
    static let visionHeadSize = 4...256
    static let intermediateSize = 1...1_048_576
    static let vocabularySize = 1...4_194_304
    static let maximumPositions = 1...16_777_216
    static let patchSize = 1...64
    static let temporalPatchSize = 1...8
    static let mergeSize = 1...8
    static let positionGridSize = 1...256
    /// Of a resized image, frames counted.
    static let imagePixels = 1...1_073_741_824
    static let endOfSequenceCount = 0...64
    static let topK = 0...4_194_304
    static let temperature: ClosedRange<Float> = 0...1000
    static let topP: ClosedRange<Float> = 0...1
    static let repetitionPenalty: ClosedRange<Float> = 0.01...100
    static let normEpsilon: ClosedRange<Float> = 1e-12...0.1
    static let ropeTheta: ClosedRange<Float> = 1...1e12
    static let smallestDeviation: Float = 1e-6
}
