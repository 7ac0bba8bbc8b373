//! The projection of one token: everything in one parallel loop, for decoding waits for memory, and each
//! moment in which threads wait for one another is one in which memory waits for them.

internal import CKernels
internal import Tensors

/// Where the product of one token has its input from.
enum TokenSource {
    /// The activation itself.
    case activation
    /// A norm: so short that each thread computes it to a row of its own, rather than wait for one that does.
    case ownRows
    /// An activation that all threads quantise together, some blocks each.
    case blocks
}

extension CPUBackend {
    /// How the input of one token comes to a product; nil where that takes a loop of its own.
    func tokenSource(_ input: Prologue, _ weight: WeightLayout, _ output: Epilogue) -> TokenSource? {
        let isInteger = weight.format.type.isQuantized
        if case .plain = input {
            if isInteger { return .blocks }
            return weight.columns == weight.paddedColumns ? .activation : nil
        }
        // A thread that comes late must find the input as it was.
        return output.mayOverwrite(input) ? nil : .ownRows
    }

    /// Precondition: `scratch` is laid out by `layout`; `input` has one row.
    func projectToken(
        _ input: Prologue, _ source: TokenSource, _ weight: Matrix, _ output: Epilogue,
        _ layout: ProjectionScratch, _ scratch: UnsafeMutableRawPointer
    ) {
        let isInteger = weight.layout.format.type.isQuantized
        let rows = unsafe InputRows(
            norm: NormLoop(kernels: kernels, input: input, first: 0), columns: weight.layout.columns,
            padded: weight.layout.paddedColumns, layout, scratch)
        let prepared: PreparedInput =
            source == .activation
            ? unsafe .floats(UnsafePointer(input.input.floats), tokens: 1)
            : rows.prepared(isInteger: isInteger, tokens: 1)
        let product = unsafe ProductLoop(
            product: Product(kernels: kernels, weight: weight, input: prepared),
            target: target(of: output, 0..<1, layout, scratch))
        let next = expected.flatMap { $0.isOf(weight) ? nil : $0 }
        let outputs = unsafe (scratch + layout.product).assumingMemoryBound(to: Float.self)
        unsafe AttentionInputsLoop.with(output, of: outputs, row: 0, kernels) { attentionInputs in
            let loop = unsafe TokenLoop(
                product: product, source: source, isInteger: isInteger, rows: rows,
                input: UnsafePointer(input.input.floats), attentionInputs: attentionInputs)
            pool.run(
                loop, count: weight.layout.tileCount, cost: product.product.tileCost,
                grain: Product.tileGrain, tail: product.product.tileTail, next: next)
        }
    }
}

/// One token's prologue, product and epilogue.
@safe private struct TokenLoop: ParallelLoop {
    let product: ProductLoop
    let source: TokenSource
    let isInteger: Bool
    let rows: InputRows
    /// What `blocks` are quantised from.
    let input: UnsafePointer<Float>
    /// Nil for another epilogue.
    let attentionInputs: AttentionInputsLoop?

    func prepare(worker: Int) {
        guard source == .ownRows else { return }
        let y = unsafe (isInteger ? rows.rows : rows.floats) + worker * rows.padded
        let x = unsafe rows.norm.row(0, into: y, keepsSum: worker == 0)
        if isInteger {
            unsafe rows.quantize(x, to: worker, blocks: 0..<rows.padded / Int(THIMBLE_BLOCK))
        } else {
            unsafe rows.pad(x, to: worker)
        }
    }

    var countBefore: Int { source == .blocks ? rows.padded / Int(THIMBLE_BLOCK) : 0 }

    func runBefore(_ blocks: Range<Int>, worker: Int) {
        unsafe rows.quantize(input, to: 0, blocks: blocks)
    }

    func run(_ tiles: Range<Int>, worker: Int) {
        var product = product
        if source == .ownRows {
            product.product.input = product.product.input.token(worker, padded: rows.padded)
        }
        product.run(tiles, worker: worker)
    }

    var countAfter: Int { attentionInputs?.headCount ?? 0 }

    func runAfter(_ heads: Range<Int>, worker: Int) { attentionInputs?.store(0, heads: heads) }
}

extension Epilogue {
    /// Whether what is written while tiles are multiplied may lie where the prologue reads.
    fileprivate func mayOverwrite(_ input: Prologue) -> Bool {
        let y: Activation
        switch self {
        case .store(let target, _), .swiglu(let target), .add(let target): y = target
        // These are written when all tiles are done.
        case .attentionInputs: return false
        }
        switch input {
        case .plain(let x), .rmsNorm(let x, _, _): return y.overlaps(x)
        case .residual(let x, let delta, _, _, _, _): return y.overlaps(x) || y.overlaps(delta)
        }
    }
}

extension Activation {
    private var bytes: Range<Int> { offset..<offset + rows * columns * 4 }

    /// Whether some bytes belong to both.
    fileprivate func overlaps(_ other: Activation) -> Bool {
        memory === other.memory && bytes.overlaps(other.bytes)
    }
}
