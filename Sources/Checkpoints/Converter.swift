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
    /// Threads that read, packed and compressed.
    public var threadCount: Int
    /// Tensors of the source that the model does not have.
    public var ignoredTensorCount: Int
    /// Tensors stored as f32 because f16 cannot hold their values, as `segment/tensor`.
    public var widenedTensors: [String]
}

/// Converts a checkpoint, reading each weight once.
///
/// Memory: at most 4 MiB for each of at most 32 threads (rows, packed pieces, blocks, compressors), and the
/// scales of one segment, which are a thirty-second of its bfloat16 weights at most. No tensor is ever held,
/// so the shape of the model does not count.
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
        let pool = try output { () throws(ModelFileError) in
            try WorkerPool(threadCount: threadCount, for: path)
        }
        var summary = ConversionSummary(
            tensorCount: 0, threadCount: pool.threadCount, ignoredTensorCount: ignored(segments),
            widenedTensors: [])
        let window = try output { () throws(ModelFileError) in
            try PieceWindow(source: source, pool: pool)
        }
        var writer = try output { () throws(ModelFileError) in try ModelFileWriter(path: path, pool: pool) }
        for data in packaging.data {
            try output { () throws(ModelFileError) in try writer.appendData(data.name, data.bytes) }
        }
        for segment in segments {
            try output { () throws(ModelFileError) in try writer.beginSegment(segment.name) }
            for plan in segment.tensors {
                let name = "\(segment.name)/\(plan.target.name)"
                state.tensor = name
                progress(state)
                if shouldStop() { throw cancelled }
                switch plan.target.kind {
                case .vector: try writeVector(plan, to: &writer)
                case .matrix:
                    let isWidened = try writeMatrix(plan, to: &writer, window, shouldStop)
                    if isWidened { summary.widenedTensors.append(name) }
                }
                summary.tensorCount += 1
                state.bytesDone += plan.sourceByteCount
            }
            try output { () throws(ModelFileError) in try writer.endSegment() }
        }
        try source.checkUnchanged()
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

    private var cancelled: CheckpointError {
        CheckpointError(.cancelled, file: source.location, "the conversion was stopped")
    }

    // MARK: One tensor

    /// Writes the values of a vector's parts, in order.
    private func writeVector(_ plan: TensorPlan, to writer: inout ModelFileWriter) throws(CheckpointError) {
        try output { () throws(ModelFileError) in
            try writer.beginVector(plan.target.name, count: plan.target.rows)
        }
        var room = [Float](repeating: 0, count: min(plan.target.rows, MatrixPieces.maximumElementCount))
        for part in plan.parts {
            let width = part.source.columns
            let elements = (part.rows.lowerBound * width)..<(part.rows.upperBound * width)
            for start in stride(from: elements.lowerBound, to: elements.upperBound, by: room.count) {
                let count = min(room.count, elements.upperBound - start)
                var fault: CheckpointError?
                unsafe room.withUnsafeMutableBufferPointer { buffer in
                    let values = unsafe UnsafeMutableBufferPointer(rebasing: buffer[..<count])
                    do throws(CheckpointError) {
                        _ = unsafe try TileReader.read(part.source, from: source, at: start, into: values)
                        try output { () throws(ModelFileError) in
                            unsafe try writer.appendCodes(UnsafeRawBufferPointer(values))
                        }
                    } catch { fault = error }
                }
                if let fault { throw fault }
            }
        }
        try output { () throws(ModelFileError) in try writer.endTensor() }
    }

    /// Writes a matrix piece by piece, as f32 where f16 is asked for and cannot hold it; returns whether it
    /// was.
    private func writeMatrix(
        _ plan: TensorPlan, to writer: inout ModelFileWriter, _ window: PieceWindow, _ shouldStop: () -> Bool
    ) throws(CheckpointError) -> Bool {
        let (target, format) = (plan.target, plan.format)
        try output { () throws(ModelFileError) in
            try writer.beginMatrix(target.name, rows: target.rows, columns: target.columns, format: format)
        }
        let fits = try writePieces(plan, as: format, to: &writer, window, shouldStop)
        if !fits {
            // Models with such weights are rare, so nothing looks for them ahead of this.
            try output { () throws(ModelFileError) in try writer.restartMatrix(format: .f32) }
            _ = try writePieces(plan, as: .f32, to: &writer, window, shouldStop)
        }
        try output { () throws(ModelFileError) in try writer.endTensor() }
        return !fits
    }

    /// Writes the planes of a matrix; returns false, having written some, where f16 cannot hold a weight.
    private func writePieces(
        _ plan: TensorPlan, as format: WeightFormat, to writer: inout ModelFileWriter,
        _ window: PieceWindow, _ shouldStop: () -> Bool
    ) throws(CheckpointError) -> Bool {
        let layout = WeightLayout(rows: plan.target.rows, columns: plan.target.columns, format: format)
        var fits = true
        try window.forEachPiece(of: plan, layout: layout) { (piece, peak) throws(CheckpointError) in
            if shouldStop() { throw cancelled }
            fits = format != .f16 || peak <= Self.largestFloat16
            guard fits else { return false }
            try output { () throws(ModelFileError) in
                unsafe try writer.appendCodes(piece.codes)
                unsafe writer.appendScales(piece.scales)
            }
            return true
        }
        return fits
    }
}
