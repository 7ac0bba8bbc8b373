//! Images to visual tokens.

internal import Documents
internal import ModelFile
internal import Models

extension Engine {
    /// The placeholder that stands for an image; nil for a text-only model, whatever its file says.
    var imageToken: Int32? { seesImages ? file.configuration.tokens.image.map { Int32($0) } : nil }

    /// Tokens that end an answer.
    var endOfSequence: Set<Int32> { Set(file.configuration.tokens.endOfSequence.map { Int32($0) }) }

    /// How many visual tokens an image becomes, as a grid.
    func visualGrid(of image: RGBImage) throws(ThimbleError) -> ImageGrid {
        let patches = try patchGrid(of: image)
        let merge = file.configuration.vision?.mergeSize ?? 1
        return ImageGrid(height: patches.height / merge, width: patches.width / merge)
    }

    /// Preprocesses and encodes one image into `store`. Nil when the caller asked to stop.
    func encode(
        _ image: RGBImage, into store: VisualFeatureStore, shouldStop: () -> Bool
    ) throws(ThimbleError) -> VisualFeatures? {
        let preprocessor = try requirePreprocessor()
        let model = self.model
        return try translating(path) { () throws(ModelError) in
            try model.encode(
                pixels: image.pixels.span, width: image.width, height: image.height,
                preprocessor: preprocessor, into: store, shouldStop: shouldStop)
        }
    }

    private func patchGrid(of image: RGBImage) throws(ThimbleError) -> ImageGrid {
        let preprocessor = try requirePreprocessor()
        do { return try preprocessor.grid(width: image.width, height: image.height) } catch {
            throw ThimbleError(.unsupported, "\(error)")
        }
    }

    private func requirePreprocessor() throws(ThimbleError) -> ImagePreprocessor {
        guard let preprocessor else {
            throw ThimbleError(.unsupported, "\(path) is a text-only model; it takes no images")
        }
        return preprocessor
    }
}
