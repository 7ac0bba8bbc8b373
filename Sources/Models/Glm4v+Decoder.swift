//! The decoder: GLM-4's four-norm layers over paged keys and values.

internal import Memory
internal import ModelFile
internal import Tensors

extension Glm4v {
    /// Whose logits a forward pass computes.
    public enum LogitRows: Sendable {
        /// The last position only.
        case last
        /// The last position only, left on the device for a `StepDecoder`; `receive` is not called.
        case kept
        /// Every position.
        case all
        /// None: there are more inputs to come before anybody asks.
        case none
    }

    /// Runs the inputs that `sequence` does not hold yet through the decoder, or those before `end` of them.
    ///
    /// Pages that become full are known by their inputs from then on.
    ///
    /// `receive` gets runs of logits, `[rows, vocabulary]` float32, in order of position: one row for
    /// `.last`. On a full context nothing has changed; after any other error the sequence holds the chunks
    /// that were done. `shouldStop` is asked before each layer of each chunk of positions; when it says
    /// so, the chunk and the rest are left for a later call and no last logits come.
    ///
    /// Throws `tokenOutOfRange`, `contextFull`, or `backend` for a fault of the device.
    /// Precondition: what `sequence` holds are the first positions of `inputs`; the features of images that
    /// are yet to run are in their store; `end` is none of the positions held.
    public func forward(
        _ inputs: InputSequence, upTo end: Int? = nil, into sequence: KVSequence, logits rows: LogitRows,
        shouldStop: () -> Bool = { false }, receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(ModelError) {
        let vocabularySize = configuration.text.vocabularySize
        let end = end ?? inputs.count
        precondition(
            end <= inputs.count && sequence.length <= end, "a sequence holds no more than its inputs")
        for token in inputs.tokens[sequence.length..<end] where token < 0 || token >= vocabularySize {
            throw .tokenOutOfRange(token: Int(token), vocabularySize: vocabularySize)
        }
        try sequence.wake()
        try sequence.reserve(end - sequence.length)
        defer { sequence.releaseReserve() }
        while sequence.length < end {
            let count = chunkCount(of: end - sequence.length)
            let chunk = sequence.length..<sequence.length + count
            guard let stream = try run(inputs, chunk, sequence, shouldStop) else { return }
            switch rows {
            case .all:
                try unsafe computeLogits(stream, receive)
            case .last where chunk.upperBound == end:
                let last = chunk.count - 1..<chunk.count
                try unsafe computeLogits(stream.rows(last), receive)
            case .kept where chunk.upperBound == end:
                try last.computeLogits(stream.rows(chunk.count - 1..<chunk.count))
                // Nothing was waited for: whoever reads what comes of the logits confirms this.
                return sequence.commit(chunk.count)
            case .last, .kept, .none:
                do { try backend.synchronize() } catch { throw .backend(error) }
            }
            sequence.commit(chunk.count)
            sequence.confirm()
            sequence.share(as: inputs)
        }
    }

    /// How many of `count` inputs are computed together next: a prompt's first ones where the last part
    /// computes them alone, and no more than each part has room for elsewhere.
    private func chunkCount(of count: Int) -> Int {
        let chunk = min(count, limits.chunkTokens)
        if let passage, chunk >= passage.leastRows { return chunk }
        return min(chunk, limits.unbroughtTokens ?? chunk)
    }

    /// One chunk through all layers. What the last MLP computed has yet to join the residual, in the last
    /// part's memory. Nil when the caller asked to stop.
    private func run(
        _ inputs: InputSequence, _ chunk: Range<Int>, _ sequence: KVSequence, _ shouldStop: () -> Bool
    ) throws(ModelError) -> ResidualStream? {
        try embed(inputs, chunk)
        if let passage, chunk.count >= passage.leastRows {
            return try run(inputs.positions[chunk], at: chunk.lowerBound, sequence, by: passage, shouldStop)
        }
        return try run(
            inputs.positions[chunk], at: chunk.lowerBound, sequence, through: parts[...], shouldStop)
    }

    /// The token that stands at `start`, through the parts before the last one, which is handed its stream.
    func enter(
        _ token: Span<Int32>, _ position: ArraySlice<Position>, at start: Int, _ sequence: KVSequence
    ) throws(ModelError) {
        guard let embedding = first.embedding else { preconditionFailure("tokens enter by the first part") }
        first.store?.begin(.decoder)
        try embedding.look(up: token, into: first.work.residuals.0.rows(0..<1))
        let entered = parts.dropLast()
        guard let stream = try run(position, at: start, sequence, through: entered, { false }),
            let part = entered.last
        else { preconditionFailure("nobody stops it, and there are parts before the last") }
        _ = try stream.handedOver(from: part, to: last)
    }

    /// Rows at `positions`, the first of which stands at `start` in the sequence, through `parts`: to the
    /// first of them they have come. Nil when the caller asked to stop.
    private func run(
        _ positions: ArraySlice<Position>, at start: Int, _ sequence: KVSequence,
        through parts: ArraySlice<ModelPart>, _ shouldStop: () -> Bool
    ) throws(ModelError) -> ResidualStream? {
        var stream: ResidualStream?
        var before: ModelPart?
        for part in parts {
            var here = ResidualStream(part.work, rows: positions.count)
            if let stream, let before { here = try stream.handedOver(from: before, to: part) }
            angles.write(positions, into: part.work.rotary.prefix(positions.count), on: part.backend)
            guard try part.run(&here, sequence, start: start, shouldStop) else { return nil }
            stream = here
            before = part
        }
        return stream
    }

    /// The same by the last part alone.
    private func run(
        _ positions: ArraySlice<Position>, at start: Int, _ sequence: KVSequence, by passage: LayerPassage,
        _ shouldStop: () -> Bool
    ) throws(ModelError) -> ResidualStream? {
        let entered = first.work.residuals.0.rows(0..<positions.count)
        var stream = ResidualStream(last.work, rows: positions.count)
        angles.write(positions, into: last.work.rotary.prefix(positions.count), on: last.backend)
        guard try passage.run(entered, &stream, sequence, start: start, shouldStop),
            try last.run(&stream, sequence, start: start, shouldStop)
        else { return nil }
        try passage.takeBackKeys(sequence, start..<start + positions.count)
        return stream
    }

    /// Token embeddings, with visual features in place of the placeholders', into the first part's residual.
    private func embed(_ inputs: InputSequence, _ chunk: Range<Int>) throws(ModelError) {
        guard let embedding = first.embedding else { preconditionFailure("tokens enter by the first part") }
        first.store?.begin(.decoder)
        let residual = first.work.residuals.0.rows(0..<chunk.count)
        try embedding.look(up: inputs.tokens.span.extracting(chunk), into: residual)
        for image in inputs.images {
            let visible = chunk.clamped(to: image.start..<image.end)
            if visible.isEmpty { continue }
            first.backend.copy(
                image.features.values.rows(
                    visible.lowerBound - image.start..<visible.upperBound - image.start),
                to: residual.rows(
                    visible.lowerBound - chunk.lowerBound..<visible.upperBound - chunk.lowerBound))
        }
    }

    /// Waits for the device before each run of logits, and so for everything before it.
    private func computeLogits(
        _ stream: ResidualStream, _ receive: (UnsafeBufferPointer<Float>) -> Void
    ) throws(ModelError) {
        // Pieces of the output matrix give logits of a row apart from those of the next.
        let most = last.head?.pieces.count == 1 ? limits.logitRows : 1
        for start in stride(from: 0, to: stream.delta.rows, by: most) {
            let rows = start..<min(start + most, stream.delta.rows)
            // Each run of rows goes through the pieces from the first on.
            if start > 0 { last.store?.begin(.decoder) }
            let logits = try last.computeLogits(stream.rows(rows))
            do { try unsafe backend.read(logits, receive) } catch { throw .backend(error) }
        }
    }
}
