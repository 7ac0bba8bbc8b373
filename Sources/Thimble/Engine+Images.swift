//! Images to visual tokens.

internal import Documents
internal import HostSystem
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

    /// How an image is resized and cut into patches.
    func cut(of image: RGBImage) throws(ThimbleError) -> PatchCut {
        guard let preprocessor else {
            throw ThimbleError(.unsupported, "\(path) is a text-only model; it takes no images")
        }
        do { return try preprocessor.cut(width: image.width, height: image.height) } catch {
            throw ThimbleError(.unsupported, "\(error)")
        }
    }

    /// How many visual tokens an image becomes, as a grid.
    func visualGrid(of image: RGBImage) throws(ThimbleError) -> ImageGrid {
        let cut = try cut(of: image)
        return ImageGrid(height: cut.gridHeight / cut.mergeSize, width: cut.gridWidth / cut.mergeSize)
    }

    /// The features of an image, which need not be there yet.
    func features(of image: RGBImage) throws(ThimbleError) -> VisualFeatures {
        let grid = try visualGrid(of: image)
        return try featureCache().features(of: image, grid: grid)
    }

    /// Computes the features of the images of `batch`, which then are held, and empties it; false when the
    /// caller asked to stop.
    func encodeBatch(shouldStop: () -> Bool) throws(ThimbleError) -> Bool {
        defer { batch.removeAll() }
        if batch.isEmpty { return true }
        let cache = try featureCache()
        return try translating(path) { () throws(ModelError) in
            guard try model.encode(batch, into: cache.store, shouldStop: shouldStop) else { return false }
            do throws(BackendError) {
                for index in 0..<batch.count { try cache.keep(batch[index]) }
            } catch {
                for index in 0..<batch.count { cache.store.remove(batch[index]) }
                throw .backend(error)
            }
            return true
        }
    }

    /// Whether an image can go through the tower together with those of `batch`, and the features of all be
    /// held then.
    func joinsBatch(_ features: VisualFeatures, _ cut: PatchCut) throws(ThimbleError) -> Bool {
        let store = try featureCache().store
        return batch.hasRoom(for: cut) && !batch.has(features) && store.hasRoom(for: batch, and: features)
    }

    /// Brings the features of those images of `inputs` to memory that `sequence` does not hold yet, for
    /// `held` to hold; those that have to be computed, as many together as can be. Where there is no room for
    /// all at once, `inputs` runs through the decoder as far as it can, in the chunks that it would go in by
    /// itself where that makes room enough. Nil when the caller asked to stop.
    ///
    /// `logits` and `receive` are for what runs here. Precondition: `images` are those of `inputs`.
    func look(
        at images: [RGBImage], in inputs: InputSequence, _ sequence: KVSequence, logits: Glm4v.LogitRows,
        holding held: inout HeldFeatures, shouldStop: () -> Bool,
        receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(ThimbleError) -> ImageReport? {
        var report = ImageReport()
        // The places of the batch's images.
        var waiting: [InputSequence.ImageSpan] = []
        defer { batch.removeAll() }
        for (image, span) in zip(images, inputs.images) where span.end > sequence.length {
            let cut = try cut(of: image)
            if try !joinsBatch(span.features, cut) {
                guard try encode(&waiting, holding: &held, &report, shouldStop: shouldStop),
                    try unsafe makeRoom(
                        for: span, in: inputs, sequence, logits: logits, releasing: &held,
                        shouldStop: shouldStop, receive: receive)
                else { return nil }
            }
            let start = Moment.now
            if try featureCache().find(span.features) != nil {
                held.append(span)
            } else {
                if shouldStop() { return nil }
                batch.append(image.pixels, cut, as: span.features)
                waiting.append(span)
            }
            report.seconds += start.duration(to: .now).seconds
        }
        return try encode(&waiting, holding: &held, &report, shouldStop: shouldStop) ? report : nil
    }

    /// Computes the features of the batch, whose places are `waiting`; false when the caller asked to stop.
    private func encode(
        _ waiting: inout [InputSequence.ImageSpan], holding held: inout HeldFeatures,
        _ report: inout ImageReport, shouldStop: () -> Bool
    ) throws(ThimbleError) -> Bool {
        let start = Moment.now
        guard try encodeBatch(shouldStop: shouldStop) else { return false }
        report.seconds += start.duration(to: .now).seconds
        report.encoded += waiting.count
        for span in waiting { held.append(span) }
        waiting.removeAll()
        return true
    }

    /// Runs `inputs` through the decoder as far as makes room for an image's features, or as far as they go;
    /// false when the caller asked to stop.
    private func makeRoom(
        for span: InputSequence.ImageSpan, in inputs: InputSequence, _ sequence: KVSequence,
        logits: Glm4v.LogitRows, releasing held: inout HeldFeatures, shouldStop: () -> Bool,
        receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(ThimbleError) -> Bool {
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
            guard sequence.length == end else { return false }
            held.release(upTo: end)
        }
        guard store.hasRoom(for: span.features) else {
            throw ThimbleError(
                .outOfMemory,
                "\(path): no room for the \(span.features.grid.count) tokens of an image beside those of "
                    + "other prompts; give --feature-memory more")
        }
        return true
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
}
