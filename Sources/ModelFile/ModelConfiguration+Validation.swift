//! Which hyperparameters this program can compute with.

/// One hyperparameter that is impossible or beyond what is supported.
public struct ConfigurationFault: Error, Sendable, Equatable, CustomStringConvertible {
    /// The parameter, as a path such as `text.headCount`.
    public let parameter: String
    /// Its value and what is supported.
    public let detail: String

    /// One line: the parameter and the fault.
    public var description: String { "\(parameter) \(detail)" }
}

extension ModelConfiguration {
    /// Checks that every number is possible and supported, so that code which computes shapes from this
    /// configuration can neither overflow nor divide by zero.
    public func validate() throws(ConfigurationFault) {
        try text.validate(hasImages: vision != nil)
        guard (vision != nil) == (architecture == .glm4v) else {
            throw ConfigurationFault(
                parameter: "vision",
                detail: "is \(vision == nil ? "missing" : "present") for \(architecture.rawValue)")
        }
        guard (image != nil) == (vision != nil) else {
            throw ConfigurationFault(parameter: "image", detail: "goes with vision, one is missing")
        }
        if let vision {
            try vision.validate()
            guard vision.outputSize == text.hiddenSize else {
                throw ConfigurationFault(
                    parameter: "vision.outputSize",
                    detail: "is \(vision.outputSize), and the decoder's hidden size is \(text.hiddenSize)")
            }
        }
        try image?.validate()
        try tokens.validate(vocabularySize: text.vocabularySize)
        try generation.validate()
    }
}

extension TextConfiguration {
    fileprivate func validate(hasImages: Bool) throws(ConfigurationFault) {
        try require(hiddenSize, in: 1...65_536, "text.hiddenSize")
        try require(layerCount, in: 1...1024, "text.layerCount")
        try require(headCount, in: 1...1024, "text.headCount")
        try require(kvHeadCount, in: 1...1024, "text.kvHeadCount")
        try require(headSize, in: 2...256, "text.headSize")
        try require(intermediateSize, in: 1...1_048_576, "text.intermediateSize")
        try require(vocabularySize, in: 1...4_194_304, "text.vocabularySize")
        try require(maximumPositions, in: 1...16_777_216, "text.maximumPositions")
        try require(headCount, multipleOf: kvHeadCount, "text.headCount")
        try require(rotarySize, in: 1...headSize / 2 * 2, "text.rotarySize")
        try require(epsilon: rmsNormEpsilon, "text.rmsNormEpsilon")
        try require(theta: ropeTheta, "text.ropeTheta")
        guard hasImages else {
            guard mropeSections.isEmpty else {
                throw ConfigurationFault(
                    parameter: "text.mropeSections", detail: "is \(mropeSections) for a text-only model")
            }
            return
        }
        guard mropeSections.count == 3, mropeSections.allSatisfy({ (0...headSize).contains($0) }),
            mropeSections.reduce(0, +) == rotaryPairs
        else {
            throw ConfigurationFault(
                parameter: "text.mropeSections",
                detail: "is \(mropeSections.prefix(8)), not three sizes that sum to \(rotaryPairs)")
        }
    }
}

extension VisionConfiguration {
    fileprivate func validate() throws(ConfigurationFault) {
        try require(hiddenSize, in: 1...65_536, "vision.hiddenSize")
        try require(depth, in: 1...1024, "vision.depth")
        try require(headCount, in: 1...1024, "vision.headCount")
        try require(mergerIntermediateSize, in: 1...1_048_576, "vision.mergerIntermediateSize")
        try require(outputSize, in: 1...65_536, "vision.outputSize")
        try require(patchSize, in: 1...64, "vision.patchSize")
        try require(temporalPatchSize, in: 1...8, "vision.temporalPatchSize")
        try require(mergeSize, in: 1...8, "vision.mergeSize")
        try require(channelCount, in: 3...3, "vision.channelCount")
        try require(positionGridSize, in: 1...256, "vision.positionGridSize")
        try require(hiddenSize, multipleOf: headCount, "vision.hiddenSize")
        try require(headSize, in: 4...256, "vision.headSize")
        // Pairs of dimensions, half of them for each axis.
        try require(headSize, multipleOf: 4, "vision.headSize")
        try require(epsilon: rmsNormEpsilon, "vision.rmsNormEpsilon")
        try require(theta: ropeTheta, "vision.ropeTheta")
    }
}

extension ImageSettings {
    fileprivate func validate() throws(ConfigurationFault) {
        try require(minimumPixels, in: 1...(1 << 30), "image.minimumPixels")
        try require(maximumPixels, in: minimumPixels...(1 << 30), "image.maximumPixels")
        guard mean.count == 3, mean.allSatisfy(\.isFinite) else {
            throw ConfigurationFault(parameter: "image.mean", detail: "is not three numbers")
        }
        guard standardDeviation.count == 3, standardDeviation.allSatisfy({ $0.isFinite && $0 >= 1e-6 }) else {
            throw ConfigurationFault(
                parameter: "image.standardDeviation", detail: "is not three positive numbers")
        }
    }
}

extension SpecialTokens {
    fileprivate func validate(vocabularySize: Int) throws(ConfigurationFault) {
        let ids = 0...(vocabularySize - 1)
        guard endOfSequence.count <= 64 else {
            throw ConfigurationFault(
                parameter: "tokens.endOfSequence",
                detail: "has \(endOfSequence.count) ids, at most 64 are supported")
        }
        for id in endOfSequence { try require(id, in: ids, "tokens.endOfSequence") }
        for (id, name) in [
            (image, "image"), (imageStart, "imageStart"), (imageEnd, "imageEnd"), (video, "video"),
        ] {
            if let id { try require(id, in: ids, "tokens.\(name)") }
        }
    }
}

extension GenerationDefaults {
    fileprivate func validate() throws(ConfigurationFault) {
        if let temperature { try require(temperature, in: 0...1000, "generation.temperature") }
        if let topP { try require(topP, in: 0...1, "generation.topP") }
        if let topK { try require(topK, in: 0...4_194_304, "generation.topK") }
        if let repetitionPenalty {
            try require(repetitionPenalty, in: 0.01...100, "generation.repetitionPenalty")
        }
    }
}

private func require<T: Comparable>(
    _ value: T, in range: ClosedRange<T>, _ parameter: String
) throws(ConfigurationFault) {
    guard range.contains(value) else {
        throw ConfigurationFault(
            parameter: parameter,
            detail: "is \(value), and \(range.lowerBound) to \(range.upperBound) is supported")
    }
}

private func require(
    _ value: Int, multipleOf divisor: Int, _ parameter: String
) throws(ConfigurationFault) {
    guard value % divisor == 0 else {
        throw ConfigurationFault(parameter: parameter, detail: "is \(value), not a multiple of \(divisor)")
    }
}

private func require(epsilon value: Float, _ parameter: String) throws(ConfigurationFault) {
    try require(value, in: 1e-12...0.1, parameter)
}

private func require(theta value: Float, _ parameter: String) throws(ConfigurationFault) {
    try require(value, in: 1...1e12, parameter)
}
