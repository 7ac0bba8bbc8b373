//! Turns a source of tensors into a model file.

import ModelFile
import Tensors

/// What a converted file holds beside the weights.
public struct Packaging: Sendable {
    /// The model's name.
    public var name: String
    /// The program and version that converts.
    public var creator: String
    /// Where the weights came from.
    public var source: String?
    /// The licence the weights are under.
    public var licence: String?
    /// Raw name of the chat format.
    public var chatFormat: String?
    /// How text is drawn on pages, as JSON.
    public var pageSettings: String?
    /// Data segments by name, such as `tokenizer`; written first, in this order.
    public var data: [(name: String, bytes: [UInt8])]

    /// Makes a packaging of its parts.
    public init(
        name: String, creator: String, source: String? = nil, licence: String? = nil,
        chatFormat: String? = nil,
        pageSettings: String? = nil, data: [(name: String, bytes: [UInt8])] = []
    ) {
        self.name = name
        self.creator = creator
        self.source = source
        self.licence = licence
        self.chatFormat = chatFormat
        self.pageSettings = pageSettings
        self.data = data
    }
}

/// How far a conversion is, in bytes of the source.
public struct ConversionProgress: Sendable, Equatable {
    /// Bytes of the source that are converted.
    public var bytesDone: Int
    /// Bytes of the source that the model is made of.
    public var bytesTotal: Int
    /// The tensor that is next, as `segment/tensor`; empty at the end.
    public var tensor: String
}

/// What a conversion did.
public struct ConversionSummary: Sendable, Equatable {
    /// Tensors written.
    public var tensorCount: Int
    /// Tensors of the source that the model does not have.
    public var ignoredTensorCount: Int
    /// Tensors stored as f32 because f16 cannot hold their values, as `segment/tensor`.
    public var widenedTensors: [String]
}

/// Converts a checkpoint. Holds a few tiles of rows at a time, never a tensor; beside them the writer holds
/// the scales of one segment.
public struct Converter: Sendable {
    /// Where the weights come from.
    public let source: any TensorSource
    /// How they are stored.
    public let recipe: Recipe
    /// Threads that read, pack and compress.
    public let threadCount: Int

    /// Beyond this float16 is infinite.
    private static let largestFloat16: Float = 65_504

    /// Makes a converter that works on `threadCount` threads.
    public init(source: any TensorSource, recipe: Recipe, threadCount: Int = 2) {
        self.source = source
        self.recipe = recipe
        self.threadCount = max(1, threadCount)
    }

    /// Writes the model file at `path`; it appears when it is whole. `progress` is called before each tensor
    /// and at the end. When `shouldStop` says so, `cancelled` is thrown soon, and nothing is left at `path`.
    public func write(
        to path: String, packaging: Packaging, progress: (ConversionProgress) -> Void = { _ in },
        shouldStop: () -> Bool = { false }
    ) throws(CheckpointError) -> ConversionSummary {
        let segments = try ModelPlan(source: source, recipe: recipe).segments()
        var state = ConversionProgress(
            bytesDone: 0, bytesTotal: segments.flatMap(\.tensors).reduce(0) { $0 + $1.sourceByteCount },
            tensor: "")
        var summary = ConversionSummary(
            tensorCount: 0, ignoredTensorCount: ignored(segments), widenedTensors: [])
        var writer = try output { () throws(ModelFileError) in
            try ModelFileWriter(path: path, threadCount: threadCount)
        }
        for data in packaging.data {
            try output { () throws(ModelFileError) in try writer.appendData(data.name, data.bytes) }
        }
        for segment in segments {
            try output { () throws(ModelFileError) in try writer.beginSegment(segment.name) }
            for var plan in segment.tensors {
                let name = "\(segment.name)/\(plan.target.name)"
                state.tensor = name
                progress(state)
                if plan.format == .f16, try peak(plan) > Self.largestFloat16 {
                    plan.format = .f32
                    summary.widenedTensors.append(name)
                }
                try write(plan, to: &writer, shouldStop)
                summary.tensorCount += 1
                state.bytesDone += plan.sourceByteCount
            }
            try output { () throws(ModelFileError) in try writer.endSegment() }
        }
        state.tensor = ""
        progress(state)
        try commit(writer, packaging, summary)
        return summary
    }

    private func commit(
        _ writer: consuming ModelFileWriter, _ packaging: Packaging, _ summary: ConversionSummary
    ) throws(CheckpointError) {
        var recipeSummary = recipe.summary
        if !summary.widenedTensors.isEmpty {
            recipeSummary += "; f32 beyond float16: \(summary.widenedTensors.joined(separator: ", "))"
        }
        let model = ModelDescription(
            name: packaging.name, creator: packaging.creator, source: packaging.source,
            licence: packaging.licence, recipe: recipeSummary, configuration: source.configuration,
            chatFormat: packaging.chatFormat, pageSettings: packaging.pageSettings)
        do throws(ModelFileError) { try writer.commit(model) } catch { throw CheckpointError(error) }
    }

    private func ignored(_ segments: [SegmentPlan]) -> Int {
        let used = Set(segments.flatMap(\.tensors).flatMap(\.parts).map(\.source.name))
        return source.tensorCount.map { $0 - used.count } ?? 0
    }

    private func output<T: ~Copyable>(
        _ body: () throws(ModelFileError) -> T
    ) throws(CheckpointError) -> T {
        do throws(ModelFileError) { return try body() } catch { throw CheckpointError(error) }
    }

    // MARK: One tensor

    private func write(
        _ plan: TensorPlan, to writer: inout ModelFileWriter, _ shouldStop: () -> Bool
    ) throws(CheckpointError) {
        if shouldStop() { throw cancelled }
        switch plan.target.kind {
        case .vector:
            let values = try vector(plan)
            try output { () throws(ModelFileError) in try writer.appendVector(plan.target.name, values) }
        case .matrix: try writeMatrix(plan, to: &writer, shouldStop)
        }
    }

    private var cancelled: CheckpointError {
        CheckpointError(.cancelled, file: source.location, "the conversion was stopped")
    }

    /// All values of a vector's parts, in order.
    private func vector(_ plan: TensorPlan) throws(CheckpointError) -> [Float] {
        var values: [Float] = []
        for part in plan.parts {
            var piece = [Float](repeating: 0, count: part.rows.count * part.source.columns)
            var fault: CheckpointError?
            unsafe piece.withUnsafeMutableBufferPointer { buffer in
                do throws(CheckpointError) {
                    unsafe try source.read(part.source, rows: part.rows, into: buffer)
                } catch { fault = error }
            }
            if let fault { throw fault }
            if let index = piece.firstIndex(where: { !$0.isFinite }) {
                throw CheckpointError(
                    .value, file: source.location,
                    "tensor \(part.source.name) has \(piece[index]) at \(index)")
            }
            values += piece
        }
        return values
    }

    /// Packs a matrix chunk by chunk; the threads of a chunk take its tiles in turn.
    private func writeMatrix(
        _ plan: TensorPlan, to writer: inout ModelFileWriter, _ shouldStop: () -> Bool
    ) throws(CheckpointError) {
        let target = plan.target
        let layout = WeightLayout(rows: target.rows, columns: target.columns, format: plan.format)
        let chunk = TileChunk(
            layout: layout, tileCapacity: Self.tilesPerChunk(layout, threadCount: threadCount))
        try output { () throws(ModelFileError) in
            try writer.beginMatrix(
                target.name, rows: target.rows, columns: target.columns, format: plan.format)
        }
        for start in stride(from: 0, to: layout.tileCount, by: chunk.tileCapacity) {
            if shouldStop() { throw cancelled }
            let tiles = start..<min(start + chunk.tileCapacity, layout.tileCount)
            try forEachTile(tiles, of: plan, layout: layout) {
                (tile, reader, packer) throws(CheckpointError) in
                _ = try reader.read(tile)
                guard let row = chunk.pack(tile - start, reader, packer) else { return }
                throw CheckpointError(
                    .value, file: source.location,
                    "row \(tile * WeightLayout.tileRows + row) of \(target.name) is too large for a "
                        + "\(plan.format.summary) scale; store this part as f16 or f32")
            }
            try output { () throws(ModelFileError) in
                unsafe try writer.appendCodes(chunk.codes(tiles.count))
                unsafe writer.appendScales(chunk.scales(tiles.count))
            }
        }
        try output { () throws(ModelFileError) in try writer.endTensor() }
    }
}
