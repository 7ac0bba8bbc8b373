//! Decides how an image becomes the normalised patches that the vision tower takes.

public import ModelFile
public import Tensors

/// An image's extent in pixels.
struct PixelSize: Sendable, Equatable {
    var width: Int
    var height: Int
}

/// Has images resized, normalised and cut as the reference's `Glm4vImageProcessor` and
/// `Glm46VImageProcessor` do: the bytes between resizing and normalising are the same. A backend does the
/// work.
public struct ImagePreprocessor: Sendable {
    let patchSize: Int
    let frameCount: Int
    let mergeSize: Int
    let minimumPixels: Int
    let maximumPixels: Int
    /// What each byte of each channel becomes; 256 values for red, then for green, then for blue.
    let normalised: [Float]

    /// Takes a model's settings.
    /// - Throws: `ImagePreprocessorError.unusableSettings`, for a model file may hold anything.
    public init(
        settings: ImageSettings, vision: VisionConfiguration
    ) throws(ImagePreprocessorError) {
        func require(_ condition: Bool, _ what: String) throws(ImagePreprocessorError) {
            if !condition { throw .unusableSettings(what) }
        }
        try require(
            (1...256).contains(vision.patchSize), "the patch size is \(vision.patchSize), not 1...256")
        try require((1...16).contains(vision.mergeSize), "the merge size is \(vision.mergeSize), not 1...16")
        try require(
            (1...16).contains(vision.temporalPatchSize),
            "the temporal patch size is \(vision.temporalPatchSize), not 1...16")
        try require(vision.channelCount == 3, "the vision tower takes \(vision.channelCount) channels, not 3")
        try require(
            settings.minimumPixels >= 1 && settings.maximumPixels >= settings.minimumPixels
                && settings.maximumPixels <= 1 << 40,
            "the limits on pixels are \(settings.minimumPixels) and \(settings.maximumPixels)")
        try require(
            settings.mean.count == 3 && settings.standardDeviation.count == 3,
            "there are \(settings.mean.count) means and \(settings.standardDeviation.count) deviations, not 3"
        )
        try require(
            settings.mean.allSatisfy(\.isFinite)
                && settings.standardDeviation.allSatisfy { $0.isFinite && $0 > 0 },
            "a mean or a deviation is no finite number, or a deviation is not above 0")
        patchSize = vision.patchSize
        frameCount = vision.temporalPatchSize
        mergeSize = vision.mergeSize
        minimumPixels = settings.minimumPixels
        maximumPixels = settings.maximumPixels
        // The reference scales mean and deviation by 255, rather than the pixels by 1/255.
        normalised = zip(settings.mean, settings.standardDeviation).flatMap { mean, deviation in
            (0...255).map { (Float($0) - mean * 255) / (deviation * 255) }
        }
    }

    /// How an image of `width x height` pixels is resized and cut.
    public func cut(width: Int, height: Int) throws(ImagePreprocessorError) -> PatchCut {
        let resized = try smartResize(PixelSize(width: width, height: height))
        return PatchCut(
            width: width, height: height, resizedWidth: resized.width, resizedHeight: resized.height,
            patchSize: patchSize, mergeSize: mergeSize, frameCount: frameCount, normalised: normalised)
    }

    /// The grid of patches that an image of `width x height` pixels becomes.
    public func grid(width: Int, height: Int) throws(ImagePreprocessorError) -> ImageGrid {
        try cut(width: width, height: height).grid
    }
}

extension PatchCut {
    var grid: ImageGrid { ImageGrid(height: gridHeight, width: gridWidth) }
}
