//! A matrix product on the CPU, tile by tile, with what follows on each tile while it is in the cache.

internal import CKernels
internal import Tensors

/// Some tokens, ready for a product.
@safe enum PreparedInput {
    /// `[tokens, padded columns]`
    case floats(UnsafePointer<Float>, tokens: Int)
    case integers(thimble_quantized, tokens: Int)

    var tokens: Int {
        switch self {
        case .floats(_, let tokens), .integers(_, let tokens): tokens
        }
    }

    /// The token at `index` of rows of `padded` columns, which need not be among these.
    func token(_ index: Int, padded: Int) -> PreparedInput {
        switch self {
        case .floats(let x, _): return unsafe .floats(x + index * padded, tokens: 1)
        case .integers(let x, _):
            let blocks = padded / Int(THIMBLE_BLOCK)
            return unsafe .integers(
                thimble_quantized(
                    codes: x.codes + index * padded, scales: x.scales + index * blocks,
                    sums: x.sums + index * blocks), tokens: 1)
        }
    }
}

/// `W x` for some tokens. A tile's numbers do not depend on which tiles are computed together.
@safe struct Product {
    let kernels: UnsafePointer<thimble_kernels>
    let weights: thimble_weights
    let layout: WeightLayout
    var input: PreparedInput

    /// Tiles that a thread takes together at least: kernels may do two at a time.
    static let tileGrain = 2
    /// The same of the last ones of a thread's share. One token waits for memory, by one tile as by two.
    var tileTail: Int { input.tokens == 1 ? 1 : Self.tileGrain }

    init(kernels: UnsafePointer<thimble_kernels>, weight: Matrix, input: PreparedInput) {
        unsafe self.kernels = kernels
        unsafe weights = weight.kernelWeights
        layout = weight.layout
        self.input = input
    }

    /// What one tile costs: with few tokens reading it, with many computing it.
    var tileCost: LoopCost {
        let type = layout.format.type
        if input.tokens <= 4 {
            let kind: LoopCost.Kind =
                switch type {
                case .f32: .fewTokensF32
                case .f16: .fewTokensF16
                case .q8: .fewTokensQ8
                case .q4: .fewTokensQ4
                }
            return LoopCost(kind, units: layout.tileByteCount + layout.tileScalesByteCount)
        }
        let kind: LoopCost.Kind =
            switch type {
            case .f32: .manyTokensF32
            case .f16: .manyTokensF16
            case .q8: .manyTokensQ8
            case .q4: .manyTokensQ4
            }
        return LoopCost(kind, units: input.tokens * layout.paddedColumns * WeightLayout.tileRows)
    }

    /// The outputs of `tiles`.
    func rows(of tiles: Range<Int>) -> Range<Int> {
        tiles.lowerBound * WeightLayout.tileRows..<min(tiles.upperBound * WeightLayout.tileRows, layout.rows)
    }

    /// `y[token * stride + row]` for the rows of `tiles`.
    func compute(_ tiles: Range<Int>, into y: UnsafeMutablePointer<Float>, stride: Int) {
        var weights = unsafe self.weights
        let (begin, end, rowStride) = (Int64(tiles.lowerBound), Int64(tiles.upperBound), Int64(stride))
        switch input {
        case .integers(let quantized, let tokens):
            var quantized = unsafe quantized
            let multiply =
                unsafe layout.format.type == .q4 ? kernels.pointee.matmul_q4! : kernels.pointee.matmul_q8!
            unsafe multiply(&weights, &quantized, Int64(tokens), begin, end, y, rowStride)
        case .floats(let x, let tokens):
            let multiply =
                unsafe layout.format.type == .f16 ? kernels.pointee.matmul_f16! : kernels.pointee.matmul_f32!
            unsafe multiply(
                &weights, x, Int64(layout.paddedColumns), Int64(tokens), begin, end, y, rowStride)
        }
    }
}

/// A product's tiles and what becomes of them.
@safe struct ProductLoop: ParallelLoop {
    var product: Product
    let target: Target

    /// Where rows go. `[tokens, rows of W]`, or half as wide for SwiGLU; `parts` is
    /// `[workers, ProjectionScratch.partCount]`.
    @safe enum Target {
        case store(UnsafeMutablePointer<Float>, bias: UnsafePointer<Float>?)
        case swiglu(UnsafeMutablePointer<Float>, parts: UnsafeMutablePointer<Float>)
        case add(UnsafeMutablePointer<Float>, parts: UnsafeMutablePointer<Float>)
    }

    func run(_ tiles: Range<Int>, worker: Int) {
        let tokens = product.input.tokens
        let outputs = product.layout.rows
        switch target {
        case .store(let y, let bias):
            unsafe product.compute(tiles, into: y, stride: outputs)
            guard let bias = unsafe bias else { return }
            let rows = product.rows(of: tiles)
            for token in 0..<tokens {
                unsafe product.kernels.pointee.add(
                    bias + rows.lowerBound, Int64(rows.count), y + token * outputs + rows.lowerBound)
            }
        case .swiglu(let y, let parts):
            unsafe inParts(tiles, parts, worker) { part, rows, token in
                unsafe product.kernels.pointee.swiglu(
                    part, Int64(rows.count / 2), y + (token * outputs + rows.lowerBound) / 2)
            }
        case .add(let y, let parts):
            unsafe inParts(tiles, parts, worker) { part, rows, token in
                unsafe product.kernels.pointee.add(
                    part, Int64(rows.count), y + token * outputs + rows.lowerBound)
            }
        }
    }

    /// Computes as many tiles at a time as a part holds, and hands out each token's rows of them.
    private func inParts(
        _ tiles: Range<Int>, _ parts: UnsafeMutablePointer<Float>, _ worker: Int,
        _ receive: (_ part: UnsafePointer<Float>, _ rows: Range<Int>, _ token: Int) -> Void
    ) {
        let tokens = product.input.tokens
        let part = unsafe parts + worker * ProjectionScratch.partCount
        let tilesPerPart = ProjectionScratch.partCount / (tokens * WeightLayout.tileRows)
        for first in stride(from: tiles.lowerBound, to: tiles.upperBound, by: tilesPerPart) {
            let some = first..<min(first + tilesPerPart, tiles.upperBound)
            let rows = product.rows(of: some)
            // The kernels count rows from the matrix's first.
            unsafe product.compute(some, into: part - rows.lowerBound, stride: rows.count)
            for token in 0..<tokens { unsafe receive(part + token * rows.count, rows, token) }
        }
    }
}
