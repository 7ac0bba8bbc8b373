//! Images to visual tokens.

internal import Documents
internal import ModelFile
internal import Models
internal import Tensors

/// What came of a prompt's images.
struct ImageReport {
    /// Images that went through the vision tower.
    var encoded = 0
    /// Seconds until the features of all were there.
    var seconds = 0.0
}

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

    /// The features of an image, which need not be there yet.
    func features(of image: RGBImage) throws(ThimbleError) -> VisualFeatures {
        let grid = try visualGrid(of: image)
        return try featureCache().features(of: image, grid: grid)
    }

    /// Brings the features of an image to memory, and holds them there. Nil when the caller asked to stop.
    ///
    /// Precondition: there is room for them.
    func hold(
        _ features: VisualFeatures, of image: RGBImage, shouldStop: () -> Bool
    ) throws(ThimbleError) -> FeatureSource? {
        let cache = try featureCache()
        return try translating(path) { () throws(ModelError) in
            try cache.hold(features) { () throws(ModelError) in
                if shouldStop() { return false }
                return try encode(image, as: features.image, into: cache.store, shouldStop: shouldStop)
            }
        }
    }

    /// Computes an image's features, which then are held; false when the caller asked to stop.
    func encode(
        _ image: RGBImage, as number: UInt128, into store: VisualFeatureStore, shouldStop: () -> Bool
    ) throws(ModelError) -> Bool {
        guard let preprocessor else { preconditionFailure("features are asked of a model that sees") }
        let made = try model.encode(
            pixels: image.pixels.span, width: image.width, height: image.height, preprocessor: preprocessor,
            as: number, into: store, shouldStop: shouldStop)
        return made != nil
    }

    /// Brings the features of those images of `inputs` to memory that `sequence` does not hold yet, for
    /// `held` to hold. Where there is no room for all at once, `inputs` runs through the decoder as far as
    /// it can, in the chunks that it would go in by itself where that makes room enough. Nil when the caller
    /// asked to stop.
    ///
    /// `logits` and `receive` are for what runs here. Precondition: `images` are those of `inputs`.
    func look(
        at images: [RGBImage], in inputs: InputSequence, _ sequence: KVSequence, logits: Glm4v.LogitRows,
        holding held: inout HeldFeatures, shouldStop: () -> Bool,
        receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(ThimbleError) -> ImageReport? {
        let clock = ContinuousClock()
        var report = ImageReport()
        for (image, span) in zip(images, inputs.images) where span.end > sequence.length {
            let store = try featureCache().store
            let chunk = model.limits.chunkTokens
            let wholeChunks = max(0, span.start - sequence.length) / chunk * chunk
            for end in [sequence.length + wholeChunks, span.start] {
                guard !store.hasRoom(for: span.features), !held.isEmpty else { break }
                try translating(path) { () throws(ModelError) in
                    try unsafe model.forward(
                        inputs, upTo: end, into: sequence, logits: logits, shouldStop: shouldStop,
                        receive: receive)
                }
                guard sequence.length == end else { return nil }
                held.release(upTo: end)
            }
            guard store.hasRoom(for: span.features) else {
                throw ThimbleError(
                    .outOfMemory,
                    "\(path): no room for the \(span.features.grid.count) tokens of an image beside those of "
                        + "other prompts; give --feature-memory more")
            }
            let start = clock.now
            guard let source = try hold(span.features, of: image, shouldStop: shouldStop) else { return nil }
            report.seconds += start.duration(to: clock.now).seconds
            held.append(span)
            if source == .tower { report.encoded += 1 }
        }
        return report
    }

    /// Where features are; made when the first image comes.
    func featureCache() throws(ThimbleError) -> FeatureCache {
        if let openedFeatures { return openedFeatures }
        // All but the image that decides what features are: weights, settings, and whose arithmetic it is.
        let isProcessors = plan.parts.count > 1 && plan.parts[0].share.hasTower
        let settings =
            [
                "\(imageTokens ?? 0)", device.title, device.kernels, device.vulkan?.driver ?? "",
                Version.string,
            ] + (isProcessors ? ["beside the device"] : [])
        let (model, allowance) = (self.model, featureAllowance)
        let origin = file.identity + Array(settings.joined(separator: "\n").utf8)
        let made = try translating(path) { () throws(ModelError) in
            try FeatureCache(allowance, for: model, origin: origin)
        }
        openedFeatures = made
        return made
    }

    /// Forgets features where a device has failed: nobody knows what it has done of what it was asked.
    func distrustFeatures(after error: ThimbleError) {
        if [.noDevice, .outOfMemory].contains(error.code) { openedFeatures?.store.removeAll() }
    }

    private func patchGrid(of image: RGBImage) throws(ThimbleError) -> ImageGrid {
        guard let preprocessor else {
            throw ThimbleError(.unsupported, "\(path) is a text-only model; it takes no images")
        }
        do { return try preprocessor.grid(width: image.width, height: image.height) } catch {
            throw ThimbleError(.unsupported, "\(error)")
        }
    }
}
