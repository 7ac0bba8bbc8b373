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
        try require(hiddenSize, in: ConfigurationLimits.hiddenSize, "text.hiddenSize")
        try require(layerCount, in: ConfigurationLimits.layerCount, "text.layerCount")
        try require(headCount, in: ConfigurationLimits.headCount, "text.headCount")
        try require(kvHeadCount, in: ConfigurationLimits.headCount, "text.kvHeadCount")
        try require(headSize, in: ConfigurationLimits.textHeadSize, "text.headSize")
        try require(intermediateSize, in: ConfigurationLimits.intermediateSize, "text.intermediateSize")
        try require(vocabularySize, in: ConfigurationLimits.vocabularySize, "text.vocabularySize")
        try require(maximumPositions, in: ConfigurationLimits.maximumPositions, "text.maximumPositions")
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
        try require(hiddenSize, in: ConfigurationLimits.hiddenSize, "vision.hiddenSize")
        try require(depth, in: ConfigurationLimits.layerCount, "vision.depth")
        try require(headCount, in: ConfigurationLimits.headCount, "vision.headCount")
        try require(
            mergerIntermediateSize, in: ConfigurationLimits.intermediateSize, "vision.mergerIntermediateSize")
        try require(outputSize, in: ConfigurationLimits.hiddenSize, "vision.outputSize")
        try require(patchSize, in: ConfigurationLimits.patchSize, "vision.patchSize")
        try require(temporalPatchSize, in: ConfigurationLimits.temporalPatchSize, "vision.temporalPatchSize")
        try require(mergeSize, in: ConfigurationLimits.mergeSize, "vision.mergeSize")
        try require(channelCount, in: 3...3, "vision.channelCount")
        try require(positionGridSize, in: ConfigurationLimits.positionGridSize, "vision.positionGridSize")
        try require(hiddenSize, multipleOf: headCount, "vision.hiddenSize")
        try require(headSize, in: ConfigurationLimits.visionHeadSize, "vision.headSize")
        // Pairs of dimensions, half of them for each axis.
        try require(headSize, multipleOf: 4, "vision.headSize")
        try require(epsilon: rmsNormEpsilon, "vision.rmsNormEpsilon")
        try require(theta: ropeTheta, "vision.ropeTheta")
    }
}

extension ImageSettings {
    fileprivate func validate() throws(ConfigurationFault) {
        try require(minimumPixels, in: ConfigurationLimits.imagePixels, "image.minimumPixels")
        try require(
            maximumPixels, in: minimumPixels...ConfigurationLimits.imagePixels.upperBound,
            "image.maximumPixels")
        guard mean.count == 3, mean.allSatisfy(\.isFinite) else {
            throw ConfigurationFault(parameter: "image.mean", detail: "is not three numbers")
        }
        guard standardDeviation.count == 3,
            standardDeviation.allSatisfy({ $0.isFinite && $0 >= ConfigurationLimits.smallestDeviation })
        else {
            throw ConfigurationFault(
                parameter: "image.standardDeviation", detail: "is not three positive numbers")
        }
    }
}

extension SpecialTokens {
    fileprivate func validate(vocabularySize: Int) throws(ConfigurationFault) {
        let ids = 0...(vocabularySize - 1)
        guard ConfigurationLimits.endOfSequenceCount.contains(endOfSequence.count) else {
            throw ConfigurationFault(
                parameter: "tokens.endOfSequence",
                detail: "has \(endOfSequence.count) ids, at most "
                    + "\(ConfigurationLimits.endOfSequenceCount.upperBound) are supported")
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
        if let temperature {
            try require(temperature, in: ConfigurationLimits.temperature, "generation.temperature")
        }
        if let topP { try require(topP, in: ConfigurationLimits.topP, "generation.topP") }
        if let topK { try require(topK, in: ConfigurationLimits.topK, "generation.topK") }
        if let repetitionPenalty {
            try require(
                repetitionPenalty, in: ConfigurationLimits.repetitionPenalty, "generation.repetitionPenalty")
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
    try require(value, in: ConfigurationLimits.normEpsilon, parameter)
}

private func require(theta value: Float, _ parameter: String) throws(ConfigurationFault) {
    try require(value, in: ConfigurationLimits.ropeTheta, parameter)
}
