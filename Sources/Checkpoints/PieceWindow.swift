//! The parallel part of a conversion: pieces of a matrix are made by many threads and taken in order by one.

import ModelFile
import Tensors
import Threads

/// One piece in the tiled layout, made by a worker.
///
/// Unchecked: the worker that makes it has it to itself, and then whoever has waited for it.
@safe final class PackedPiece: @unchecked Sendable {
    private let codesRoom: HostBuffer
    private let scalesRoom: HostBuffer
    private var codesByteCount = 0
    private var scalesByteCount = 0
    /// What came of making it, until somebody has waited for that.
    private let result = Monitor<Result<Float, CheckpointError>?>(nil)

    /// Throws `outOfMemory`, which names `file`.
    init(for file: String) throws(ModelFileError) {
        // A piece of float32, and the scales of one in groups of 32: nothing is larger.
        let count = MatrixPieces.maximumElementCount
        codesRoom = try HostBuffer(byteCount: count * 4, for: "packed weights", of: file)
        scalesRoom = try HostBuffer(byteCount: count / 32 * 2, for: "packed weights", of: file)
    }

    var codes: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: codesRoom.bytes[..<codesByteCount])
    }
    var scales: UnsafeRawBufferPointer {
        unsafe UnsafeRawBufferPointer(rebasing: scalesRoom.bytes[..<scalesByteCount])
    }

    /// A worker's part: reads the piece's weights and packs them.
    func make(
        _ piece: MatrixPiece, of plan: TensorPlan, layout: WeightLayout, from source: any TensorSource,
        _ tools: WorkerTools
    ) {
        codesByteCount = piece.codesByteCount(layout)
        scalesByteCount = piece.scalesByteCount(layout)
        let result: Result<Float, CheckpointError>
        do throws(CheckpointError) {
            var peak: Float = 0
            for (index, tile) in piece.tiles.enumerated() {
                let magnitude = try tools.reader.read(tile, columns: piece.columns, of: plan, from: source)
                peak = max(peak, magnitude)
                let row = unsafe tools.packer.pack(
                    tools.reader, columnCount: piece.columns.count, format: layout.format,
                    codes: codesRoom.bytes.baseAddress! + index * (codesByteCount / piece.tiles.count),
                    scales: scalesRoom.bytes.baseAddress! + index * (scalesByteCount / piece.tiles.count))
                if let row {
                    throw CheckpointError(
                        .value, file: source.location,
                        "row \(tile * WeightLayout.tileRows + row) of \(plan.target.name) is too large for a "
                            + "\(layout.format.summary) scale; store this part as f16 or f32")
                }
            }
            result = .success(peak)
        } catch { result = .failure(error) }
        self.result.withLock(waking: .one) { $0 = result }
    }

    /// Waits until the piece is made; returns the largest magnitude in it.
    func wait() throws(CheckpointError) -> Float {
        try result.wait { $0.take() }.get()
    }
}

/// What a thread works with.
struct WorkerTools: Sendable {
    let reader: TileReader
    let packer: TilePacker

    /// Throws `outOfMemory`, which names `file`.
    init(for file: String) throws(ModelFileError) {
        reader = try TileReader(for: file)
        packer = try TilePacker(for: file)
    }
}

/// Has the pieces of matrices made in parallel, a few ahead of the one that is wanted.
///
/// Memory: for each thread half a megabyte of rows and two packed pieces of half a megabyte at most.
struct PieceWindow {
    let source: any TensorSource
    let pool: WorkerPool
    private let tools: [WorkerTools]
    private let room: [PackedPiece]

    /// Throws `outOfMemory`, which names the source.
    init(source: any TensorSource, pool: WorkerPool) throws(ModelFileError) {
        var tools: [WorkerTools] = []
        for _ in 0..<pool.threadCount { tools.append(try WorkerTools(for: source.location)) }
        var room: [PackedPiece] = []
        for _ in 0..<(2 * pool.threadCount) { room.append(try PackedPiece(for: source.location)) }
        self.source = source
        self.pool = pool
        self.tools = tools
        self.room = room
    }

    /// Hands all pieces of a matrix to `take`, in order, each with its largest magnitude, until that returns
    /// false or a fault is thrown: the one of the first piece that has one, whatever the number of threads.
    func forEachPiece(
        of plan: TensorPlan, layout: WeightLayout,
        _ take: (PackedPiece, _ peak: Float) throws(CheckpointError) -> Bool
    ) throws(CheckpointError) {
        let pieces = MatrixPieces(layout)
        var (given, taken) = (0, 0)
        // Whatever ends the loop, no worker is left with a piece of it.
        defer { for index in taken..<given { _ = try? room[index % room.count].wait() } }
        while taken < pieces.count {
            while given < min(pieces.count, taken + room.count) {
                let (piece, target) = (pieces[given], room[given % room.count])
                pool.submit { [source, tools] worker in
                    target.make(piece, of: plan, layout: layout, from: source, tools[worker])
                }
                given += 1
            }
            let packed = room[taken % room.count]
            taken += 1
            let peak = try packed.wait()
            guard try take(packed, peak) else { return }
        }
    }
}

extension CheckpointError {
    /// A fault of the file that is being written, or of the memory for writing it.
    init(_ error: ModelFileError) {
        let code: Code =
            switch error.code {
            case .cannotCreate: .cannotCreate
            case .outOfMemory: .outOfMemory
            default: .output
            }
        self.init(code, file: error.file, error.reason)
    }
}
