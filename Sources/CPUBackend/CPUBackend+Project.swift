//! Projections: prologue, matrix product and epilogue, in as few parallel loops as their data allow.

internal import CKernels
public import Tensors

extension CPUBackend {
    public func project(_ input: Prologue, _ weight: Matrix, _ output: Epilogue) {
        let x = input.input
        input.checkShapes(columns: weight.layout.columns)
        output.checkShapes(rows: x.rows, outputs: weight.layout.rows)
        if case .attentionInputs(_, _, _, let kv, _) = output {
            precondition(kv.headSize <= Int(THIMBLE_MAX_HEAD_SIZE))
        }
        let layout = ProjectionScratch(
            rows: x.rows, weight.layout, storesAttentionInputs: output.isAttentionInputs,
            threadCount: pool.threadCount)
        let scratch = unsafe takeScratch(layout.byteCount)
        if x.rows == 1, let source = tokenSource(input, weight.layout, output) {
            return unsafe projectToken(input, source, weight, output, layout, scratch)
        }
        for start in stride(from: 0, to: x.rows, by: ProjectionScratch.tokenBlock) {
            let block = start..<min(start + ProjectionScratch.tokenBlock, x.rows)
            let prepared = unsafe prepare(input, block, weight.layout, layout, scratch)
            unsafe multiply(prepared, weight, output, block, layout, scratch)
        }
    }

    /// The tokens of `block` as the product takes them: normalised, and quantised or padded.
    private func prepare(
        _ input: Prologue, _ block: Range<Int>, _ weight: WeightLayout, _ layout: ProjectionScratch,
        _ scratch: UnsafeMutableRawPointer
    ) -> PreparedInput {
        let isInteger = weight.format.type.isQuantized
        let (columns, padded) = (weight.columns, weight.paddedColumns)
        if !isInteger, columns == padded, case .plain(let x) = input {
            return unsafe .floats(UnsafePointer(x.row(block.lowerBound)), tokens: block.count)
        }
        let norm = unsafe NormLoop(kernels: kernels, input: input, first: block.lowerBound)
        let rows = unsafe InputRows(norm: norm, columns: columns, padded: padded, layout, scratch)
        if isInteger {
            pool.run(QuantizeLoop(rows: rows), count: block.count, cost: LoopCost(.rows, units: padded))
        } else {
            pool.run(PadLoop(rows: rows), count: block.count, cost: LoopCost(.rows, units: padded))
        }
        return rows.prepared(isInteger: isInteger, tokens: block.count)
    }

    /// What becomes of a product of the tokens of `block`, tile by tile.
    func target(
        of output: Epilogue, _ block: Range<Int>, _ layout: ProjectionScratch,
        _ scratch: UnsafeMutableRawPointer
    ) -> ProductLoop.Target {
        let parts = unsafe (scratch + layout.parts).assumingMemoryBound(to: Float.self)
        let product = unsafe (scratch + layout.product).assumingMemoryBound(to: Float.self)
        switch output {
        case .store(let y, let bias):
            return unsafe .store(y.row(block.lowerBound), bias: bias?.floats)
        case .swiglu(let y):
            return unsafe .swiglu(y.row(block.lowerBound), parts: parts)
        case .add(let y):
            return unsafe .add(y.row(block.lowerBound), parts: parts)
        case .attentionInputs(_, let bias, _, _, _):
            return unsafe .store(product, bias: bias?.floats)
        }
    }

    private func multiply(
        _ input: PreparedInput, _ weight: Matrix, _ output: Epilogue, _ block: Range<Int>,
        _ layout: ProjectionScratch, _ scratch: UnsafeMutableRawPointer
    ) {
        let loop = unsafe ProductLoop(
            product: Product(kernels: kernels, weight: weight, input: input),
            target: target(of: output, block, layout, scratch))
        pool.run(
            loop, count: weight.layout.tileCount, cost: loop.product.tileCost, grain: Product.tileGrain,
            tail: loop.product.tileTail)
        let product = unsafe (scratch + layout.product).assumingMemoryBound(to: Float.self)
        unsafe AttentionInputsLoop.with(output, of: product, row: block.lowerBound, kernels) { store in
            guard let store else { return }
            pool.run(
                store, count: block.count, cost: LoopCost(.attentionInputs, units: weight.layout.rows))
        }
    }
}

/// Where tokens lie between prologue and product.
@safe struct InputRows {
    let norm: NormLoop
    let columns: Int
    let padded: Int
    /// `[workers, padded]`: a row before it is quantised.
    let rows: UnsafeMutablePointer<Float>
    /// `[tokens, padded]`, for a product of floats.
    let floats: UnsafeMutablePointer<Float>
    /// `[tokens, padded]`, for a product of integers.
    let codes: UnsafeMutablePointer<Int8>
    /// `[tokens, blocks]`
    let scales: UnsafeMutablePointer<Float>
    let sums: UnsafeMutablePointer<Int32>

    init(
        norm: NormLoop, columns: Int, padded: Int, _ layout: ProjectionScratch,
        _ scratch: UnsafeMutableRawPointer
    ) {
        self.norm = norm
        self.columns = columns
        self.padded = padded
        unsafe rows = (scratch + layout.rows).assumingMemoryBound(to: Float.self)
        unsafe floats = (scratch + layout.inputs).assumingMemoryBound(to: Float.self)
        unsafe codes = (scratch + layout.codes).assumingMemoryBound(to: Int8.self)
        unsafe scales = (scratch + layout.scales).assumingMemoryBound(to: Float.self)
        unsafe sums = (scratch + layout.sums).assumingMemoryBound(to: Int32.self)
    }

    /// The first `tokens` rows, once they are there.
    func prepared(isInteger: Bool, tokens: Int) -> PreparedInput {
        guard isInteger else { return unsafe .floats(UnsafePointer(floats), tokens: tokens) }
        return unsafe .integers(
            thimble_quantized(
                codes: UnsafePointer(codes), scales: UnsafePointer(scales), sums: UnsafePointer(sums)),
            tokens: tokens)
    }

    /// Quantises some blocks of `x`, all of them a token's columns, to row `index`.
    func quantize(_ x: UnsafePointer<Float>, to index: Int, blocks: Range<Int>) {
        let block = Int(THIMBLE_BLOCK)
        let (first, at) = (blocks.lowerBound * block, index * (padded / block) + blocks.lowerBound)
        unsafe norm.kernels.pointee.quantize(
            x + first, Int64(min(columns - first, blocks.count * block)), Int64(blocks.count * block),
            codes + index * padded + first, scales + at, sums + at)
    }

    /// Pads `x`, which may be row `index` itself, to it.
    func pad(_ x: UnsafePointer<Float>, to index: Int) {
        let y = unsafe floats + index * padded
        if unsafe x != UnsafePointer(y) { unsafe y.update(from: x, count: columns) }
        unsafe (y + columns).update(repeating: 0, count: padded - columns)
    }
}

/// A prologue, token by token. By addresses only: many threads that count references to one memory would wait
/// for each other.
@safe struct NormLoop {
    let kernels: UnsafePointer<thimble_kernels>
    let columns: Int
    private let rows: Rows

    /// From the row of the first token on.
    @safe private enum Rows {
        case plain(UnsafePointer<Float>)
        case rmsNorm(UnsafePointer<Float>, weight: UnsafePointer<Float>, epsilon: Float)
        case residual(
            UnsafePointer<Float>, adding: UnsafePointer<Float>, deltaWeight: UnsafePointer<Float>,
            weight: UnsafePointer<Float>, epsilon: Float, into: UnsafeMutablePointer<Float>)
    }

    /// `first` is the row of the first token.
    init(kernels: UnsafePointer<thimble_kernels>, input: Prologue, first: Int) {
        unsafe self.kernels = kernels
        columns = input.input.columns
        switch input {
        case .plain(let x):
            unsafe rows = .plain(x.row(first))
        case .rmsNorm(let x, let weight, let epsilon):
            unsafe rows = .rmsNorm(x.row(first), weight: weight.floats, epsilon: epsilon)
        case .residual(let residual, let delta, let deltaWeight, let weight, let epsilon, let sum):
            unsafe rows = .residual(
                residual.row(first), adding: delta.row(first), deltaWeight: deltaWeight.floats,
                weight: weight.floats, epsilon: epsilon, into: sum.row(first))
        }
    }

    /// The prologue's result for a token: in place where it changes nothing, else in `y`. A sum is left where
    /// others look for it only if `keepsSum` says so.
    func row(
        _ token: Int, into y: UnsafeMutablePointer<Float>, keepsSum: Bool = true
    ) -> UnsafePointer<Float> {
        let first = token * columns
        let count = Int64(columns)
        switch rows {
        case .plain(let x):
            return unsafe x + first
        case .rmsNorm(let x, let weight, let epsilon):
            unsafe kernels.pointee.rms_norm(x + first, weight, count, epsilon, y)
        case .residual(let residual, let delta, let deltaWeight, let weight, let epsilon, let into):
            let sum = unsafe keepsSum ? into + first : y
            unsafe sum.update(from: residual + first, count: columns)
            unsafe kernels.pointee.add_rms_norm(delta + first, deltaWeight, count, epsilon, sum)
            unsafe kernels.pointee.rms_norm(sum, weight, count, epsilon, y)
        }
        return unsafe UnsafePointer(y)
    }
}

/// Tokens through a prologue and into 8-bit blocks.
@safe private struct QuantizeLoop: ParallelLoop {
    let rows: InputRows

    func run(_ tokens: Range<Int>, worker: Int) {
        for token in tokens {
            let x = unsafe rows.norm.row(token, into: rows.rows + worker * rows.padded)
            unsafe rows.quantize(x, to: token, blocks: 0..<rows.padded / Int(THIMBLE_BLOCK))
        }
    }
}

/// Tokens through a prologue and into rows padded with zeros.
@safe private struct PadLoop: ParallelLoop {
    let rows: InputRows

    func run(_ tokens: Range<Int>, worker: Int) {
        for token in tokens {
            unsafe rows.pad(rows.norm.row(token, into: rows.floats + token * rows.padded), to: token)
        }
    }
}
