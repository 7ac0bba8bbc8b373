//! A decoder's layers without a model: what is timed to say how fast this machine computes.

internal import CPUBackend
internal import Tensors

/// Layers of one shape, asked of the CPU as a model asks for them.
///
/// What their memory holds does not matter: no kernel is faster for some numbers than for others.
final class LayerSample {
    /// Sizes of a layer.
    struct Shape {
        var hidden: Int
        var intermediate: Int
        var heads: Int
        var kvHeads: Int
        var headSize: Int
        var format: WeightFormat

        /// A model's of a billion weights.
        static func usual(_ format: WeightFormat) -> Shape {
            Shape(hidden: 2048, intermediate: 6144, heads: 16, kvHeads: 2, headSize: 128, format: format)
        }
        /// The same, a quarter as wide: about a sixteenth of the products, and a quarter of the rest.
        static let narrow = Shape(
            hidden: 512, intermediate: 1536, heads: 8, kvHeads: 2, headSize: 64, format: .q4(group: 32))
        /// One whose weights take next to no time.
        static let least = Shape(
            hidden: 256, intermediate: 512, heads: 4, kvHeads: 2, headSize: 64, format: .q4(group: 32))

        /// Rows and columns of qkv, o, gate and up, and down.
        var matrices: [WeightLayout] {
            let width = heads * headSize
            return [
                (width + 2 * kvHeads * headSize, hidden), (hidden, width), (2 * intermediate, hidden),
                (hidden, intermediate),
            ].map { WeightLayout(rows: $0, columns: $1, format: format) }
        }
        /// Multiply-adds of a row.
        var products: Int { matrices.reduce(0) { $0 + $1.rows * $1.columns } }
        /// Bytes of a layer's weights.
        var byteCount: Int { matrices.reduce(0) { $0 + $1.codesByteCount + $1.scalesByteCount } }
    }

    let shape: Shape
    let rows: Int
    let layerCount: Int
    /// Channels of the residual stream that a run goes through.
    var channels: Int { rows * shape.hidden * layerCount }
    private let backend: CPUBackend
    private let layers: [[Matrix]]
    private let work: Work

    /// What layers compute on.
    private struct Work {
        let (residual, next, delta): (Activation, Activation, Activation)
        let (queries, attended, mlp): (Activation, Activation, Activation)
        let rotary: Rotary
        let norm: Vector
        let kv: PagedKV
        let scratch: any BackendMemory
    }

    /// Every byte of a weight and of an activation: a code, a scale, and small positive numbers.
    private static let filling: UInt8 = 0x2C
    static let pageTokens = 16

    /// Layers for `rows` rows at a time, as many as have `byteCount` bytes, and one at least.
    init(_ shape: Shape, rows: Int, byteCount: Int, on backend: CPUBackend) throws(BackendError) {
        self.shape = shape
        self.rows = rows
        self.backend = backend
        layerCount = max(1, byteCount / shape.byteCount)
        let weights = try Self.makeFilled(layerCount * shape.byteCount, on: backend, use: .weights)
        var end = 0
        layers = (0..<layerCount).map { _ in
            shape.matrices.map { layout in
                defer { end += layout.codesByteCount + layout.scalesByteCount }
                return Matrix(
                    layout: layout, memory: weights, codesOffset: end,
                    scalesOffset: end + layout.codesByteCount)
            }
        }
        work = try Self.makeWork(shape, rows, on: backend)
    }

    private static func makeWork(
        _ shape: Shape, _ rows: Int, on backend: CPUBackend
    ) throws(BackendError) -> Work {
        func floats(_ columns: Int) throws(BackendError) -> Activation {
            Activation(
                try makeFilled(rows * columns * 4, on: backend), rows: rows, columns: columns)
        }
        let width = shape.heads * shape.headSize
        let pages = (rows + pageTokens - 1) / pageTokens
        let pageBytes = PagedKV.pageByteCount(
            type: .f16, kvHeads: shape.kvHeads, headSize: shape.headSize, pageTokens: pageTokens)
        var table = BlockTable(capacity: pages)
        for page in 0..<pages { table.append(Int32(page)) }
        let shapes =
            [
                OperationShape.attention(
                    queryHeads: shape.heads, kvHeads: shape.kvHeads, headSize: shape.headSize)
            ]
            + shape.matrices.enumerated().map {
                .projection(rows: rows, $1, storesAttentionInputs: $0 == 0)
            }
        let scratch = shapes.map { backend.scratchByteCount(of: $0) }.max() ?? 0
        return Work(
            residual: try floats(shape.hidden), next: try floats(shape.hidden),
            delta: try floats(shape.hidden), queries: try floats(width), attended: try floats(width),
            mlp: try floats(shape.intermediate),
            rotary: Rotary(
                cosines: try floats(shape.headSize / 4), sines: try floats(shape.headSize / 4),
                pairing: .interleaved),
            norm: Vector(try makeFilled(shape.hidden * 4, on: backend), offset: 0, count: shape.hidden),
            kv: PagedKV(
                memory: try makeFilled(pages * pageBytes, on: backend), offset: 0, type: .f16,
                kvHeads: shape.kvHeads,
                headSize: shape.headSize, pageTokens: pageTokens, blockTable: table),
            scratch: try makeFilled(scratch, on: backend))
    }

    static func makeFilled(
        _ byteCount: Int, on backend: CPUBackend, use: MemoryUse = .working
    ) throws(BackendError) -> any BackendMemory {
        let memory = try backend.makeMemory(byteCount: byteCount, label: "a measurement", use: use)
        unsafe backend.fill(memory, 0..<byteCount) { bytes in
            unsafe _ = bytes.initializeMemory(as: UInt8.self, repeating: filling)
        }
        return memory
    }

    /// All layers once.
    func run() {
        backend.useScratch(work.scratch, bytes: 0..<work.scratch.byteCount)
        var (residual, next) = (work.residual, work.next)
        func input() -> Prologue {
            defer { swap(&residual, &next) }
            return .residual(
                residual, adding: work.delta, deltaWeight: work.norm, weight: work.norm, epsilon: 1e-5,
                into: next)
        }
        for layer in layers {
            backend.project(
                input(), layer[0],
                .attentionInputs(
                    queries: work.queries, bias: nil, rotary: work.rotary, kv: work.kv, start: 0))
            backend.attention(
                queries: work.queries, kv: work.kv, start: 0, length: rows, isCausal: true, scale: 0.1,
                into: work.attended)
            backend.project(.plain(work.attended), layer[1], .store(work.delta, bias: nil))
            backend.project(input(), layer[2], .swiglu(work.mlp))
            backend.project(.plain(work.mlp), layer[3], .store(work.delta, bias: nil))
        }
    }
}

/// Attention over keys and values of its own, of one layer after the other.
final class AttentionSample {
    private let backend: CPUBackend
    private let (queries, attended): (Activation, Activation)
    private let layers: [PagedKV]
    private let scratch: any BackendMemory
    private let length: Int
    private let isCausal: Bool
    /// Multiply-adds of a run, and bytes of keys and values.
    let products: Double
    let byteCount: Int

    /// `rows` queries that see `length` positions, the last of them their own where they are causal, in each
    /// of `layerCount` layers.
    init(
        rows: Int, length: Int, heads: Int, kvHeads: Int, headSize: Int, isCausal: Bool, layerCount: Int,
        on backend: CPUBackend
    ) throws(BackendError) {
        self.backend = backend
        self.length = length
        self.isCausal = isCausal
        let (pageTokens, width) = (LayerSample.pageTokens, heads * headSize)
        let pages = (length + pageTokens - 1) / pageTokens
        let pageBytes = PagedKV.pageByteCount(
            type: .f16, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)
        var table = BlockTable(capacity: pages)
        for page in 0..<pages { table.append(Int32(page)) }
        byteCount = layerCount * pages * pageBytes
        let first = PagedKV(
            memory: try LayerSample.makeFilled(byteCount, on: backend), offset: 0, type: .f16,
            kvHeads: kvHeads,
            headSize: headSize, pageTokens: pageTokens, blockTable: table)
        layers = (0..<layerCount).map { first.moved(to: $0 * pages * pageBytes) }
        queries = Activation(
            try LayerSample.makeFilled(rows * width * 4, on: backend), rows: rows, columns: width)
        attended = Activation(
            try LayerSample.makeFilled(rows * width * 4, on: backend), rows: rows, columns: width)
        scratch = try LayerSample.makeFilled(
            backend.scratchByteCount(
                of: .attention(queryHeads: heads, kvHeads: kvHeads, headSize: headSize)),
            on: backend)
        let seen = Double(rows) * (Double(length) - (isCausal ? Double(rows - 1) / 2 : 0))
        products = seen * Double(width * 2 * layerCount)
    }

    /// All layers once.
    func run() {
        backend.useScratch(scratch, bytes: 0..<scratch.byteCount)
        for kv in layers {
            backend.attention(
                queries: queries, kv: kv, start: isCausal ? length - queries.rows : 0, length: length,
                isCausal: isCausal, scale: 0.1, into: attended)
        }
    }
}
