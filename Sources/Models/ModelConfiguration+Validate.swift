//! What a configuration must satisfy before a model is built from it: files are not trusted.

internal import ModelFile
internal import Tensors

extension ModelConfiguration {
    /// Limits far above every model of the family, and far below what would overflow a size.
    private enum Limit {
        static let width = 1 << 20
        static let count = 1 << 12
        static let headSize = 256
    }

    /// Throws `.mismatch` naming the first value that no model can have.
    func validate() throws(ModelError) {
        let text = self.text
        try Self.check(text.hiddenSize, "hiddenSize", upTo: Limit.width)
        try Self.check(text.layerCount, "layerCount", upTo: Limit.count)
        try Self.check(text.headCount, "headCount", upTo: Limit.count)
        try Self.check(text.kvHeadCount, "kvHeadCount", upTo: Limit.count)
        try Self.check(text.headSize, "headSize", upTo: Limit.headSize, multipleOf: 8)
        try Self.check(text.intermediateSize, "intermediateSize", upTo: Limit.width)
        try Self.check(text.vocabularySize, "vocabularySize", upTo: Limit.width)
        try Self.check(text.maximumPositions, "maximumPositions", upTo: 1 << 24)
        try Self.check(text.rotarySize, "rotarySize", upTo: text.headSize, multipleOf: 2)
        guard text.headCount % text.kvHeadCount == 0 else {
            throw .mismatch("headCount \(text.headCount) is no multiple of kvHeadCount \(text.kvHeadCount)")
        }
        guard text.mropeSections.allSatisfy({ $0 >= 0 && $0 <= Limit.headSize }),
            text.mropeSections.isEmpty || text.mropeSections.reduce(0, +) == text.rotarySize / 2
        else { throw .mismatch("mropeSections \(text.mropeSections) do not sum to half of \(text.rotarySize)") }
        try Self.check(text.ropeTheta, "ropeTheta")
        try Self.check(text.rmsNormEpsilon, "rmsNormEpsilon")
        if let vision { try Self.validate(vision, outputSize: text.hiddenSize) }
        if vision != nil { try validateImages(vocabularySize: text.vocabularySize) }
    }

    private static func validate(_ vision: VisionConfiguration, outputSize: Int) throws(ModelError) {
        try check(vision.hiddenSize, "vision hiddenSize", upTo: Limit.width)
        try check(vision.depth, "vision depth", upTo: Limit.count)
        try check(vision.headCount, "vision headCount", upTo: Limit.count)
        guard vision.hiddenSize % vision.headCount == 0 else {
            throw .mismatch("vision hiddenSize \(vision.hiddenSize) is no multiple of \(vision.headCount) heads")
        }
        try check(vision.headSize, "vision headSize", upTo: Limit.headSize, multipleOf: 8)
        try check(vision.mergerIntermediateSize, "mergerIntermediateSize", upTo: Limit.width)
        try check(vision.patchSize, "patchSize", upTo: 256)
        try check(vision.temporalPatchSize, "temporalPatchSize", upTo: 16)
        try check(vision.mergeSize, "mergeSize", upTo: 16)
        try check(vision.channelCount, "channelCount", upTo: 3)
        try check(vision.positionGridSize, "positionGridSize", upTo: 4096)
        try check(vision.ropeTheta, "vision ropeTheta")
        try check(vision.rmsNormEpsilon, "vision rmsNormEpsilon")
        guard vision.channelCount == 3 else { throw .mismatch("images have 3 channels, not \(vision.channelCount)") }
        guard vision.outputSize == outputSize else {
            throw .mismatch("visual tokens are \(vision.outputSize) wide, the decoder \(outputSize)")
        }
    }

    private func validateImages(vocabularySize: Int) throws(ModelError) {
        guard let token = tokens.image, token >= 0, token < vocabularySize else {
            throw .mismatch("a model that sees has an image token inside its vocabulary of \(vocabularySize)")
        }
        guard let image, image.mean.count == 3, image.standardDeviation.count == 3,
            image.standardDeviation.allSatisfy({ $0 > 0 && $0.isFinite }), image.mean.allSatisfy(\.isFinite),
            image.minimumPixels > 0, image.maximumPixels >= image.minimumPixels, image.maximumPixels <= 1 << 32
        else { throw .mismatch("a model that sees has image settings with three means and deviations") }
    }

    private static func check(
        _ value: Int, _ name: String, upTo limit: Int, multipleOf quantum: Int = 1
    ) throws(ModelError) {
        guard value > 0, value <= limit, value % quantum == 0 else {
            let multiple = quantum == 1 ? "" : ", a multiple of \(quantum)"
            throw .mismatch("\(name) is \(value); it must be in 1...\(limit)\(multiple)")
        }
    }

    private static func check(_ value: Float, _ name: String) throws(ModelError) {
        guard value.isFinite, value > 0 else { throw .mismatch("\(name) is \(value); it must be positive") }
    }
}
