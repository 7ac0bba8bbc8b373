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
        let quantized = unsafe thimble_quantized(
            codes: (scratch + layout.codes).assumingMemoryBound(to: Int8.self),
            scales: (scratch + layout.scales).assumingMemoryBound(to: Float.self),
            sums: (scratch + layout.sums).assumingMemoryBound(to: Int32.self))
        let floats = unsafe (scratch + layout.inputs).assumingMemoryBound(to: Float.self)
        let norm = unsafe NormLoop(kernels: kernels, input: input, first: block.lowerBound)
        if isInteger {
            let rows = unsafe (scratch + layout.rows).assumingMemoryBound(to: Float.self)
            let loop = unsafe QuantizeLoop(
                norm: norm, rows: rows, columns: columns, padded: padded, quantized: quantized)
            pool.run(loop, count: block.count, cost: LoopCost(.rows, units: padded))
            return unsafe .integers(quantized, tokens: block.count)
        }
        let loop = unsafe PadLoop(norm: norm, columns: columns, padded: padded, floats: floats)
        pool.run(loop, count: block.count, cost: LoopCost(.rows, units: padded))
        return unsafe .floats(UnsafePointer(floats), tokens: block.count)
    }

    private func multiply(
        _ input: PreparedInput, _ weight: Matrix, _ output: Epilogue, _ block: Range<Int>,
        _ layout: ProjectionScratch, _ scratch: UnsafeMutableRawPointer
    ) {
        let outputs = weight.layout.rows
        let parts = unsafe (scratch + layout.parts).assumingMemoryBound(to: Float.self)
        let product = unsafe (scratch + layout.product).assumingMemoryBound(to: Float.self)
        let target: ProductLoop.Target
        switch output {
        case .store(let y, let bias):
            unsafe target = .store(y.row(block.lowerBound), bias: bias?.floats)
        case .swiglu(let y):
            unsafe target = .swiglu(y.row(block.lowerBound), parts: parts)
        case .add(let y):
            unsafe target = .add(y.row(block.lowerBound), parts: parts)
        case .attentionInputs(_, let bias, _, _, _):
            unsafe target = .store(product, bias: bias?.floats)
        }
        let loop = unsafe ProductLoop(
            product: Product(kernels: kernels, weight: weight, input: input), target: target)
        pool.run(loop, count: weight.layout.tileCount, cost: loop.product.tileCost, grain: Product.tileGrain)
        if case .attentionInputs(let queries, _, let rotary, let kv, let start) = output {
            let store = unsafe AttentionInputsLoop(
                kernels: kernels, product: product, queries: queries, rotary: rotary, kv: kv,
                row: block.lowerBound, position: start + block.lowerBound)
            pool.run(store, count: block.count, cost: LoopCost(.attentionInputs, units: outputs))
        }
    }
}

/// A prologue, token by token.
@safe private struct NormLoop {
    let kernels: UnsafePointer<thimble_kernels>
    let input: Prologue
    /// The row of the first token.
    let first: Int

    /// The prologue's result for a token: in place where it changes nothing, else in `y`.
    func row(_ token: Int, into y: UnsafeMutablePointer<Float>) -> UnsafePointer<Float> {
        let row = first + token
        switch input {
        case .plain(let x):
            return unsafe UnsafePointer(x.row(row))
        case .rmsNorm(let x, let weight, let epsilon):
            unsafe kernels.pointee.rms_norm(x.row(row), weight.floats, Int64(x.columns), epsilon, y)
        case .residual(let residual, let delta, let deltaWeight, let weight, let epsilon, let sum):
            let columns = Int64(residual.columns)
            unsafe sum.row(row).update(from: residual.row(row), count: residual.columns)
            unsafe kernels.pointee.add_rms_norm(
                delta.row(row), deltaWeight.floats, columns, epsilon, sum.row(row))
            unsafe kernels.pointee.rms_norm(sum.row(row), weight.floats, columns, epsilon, y)
        }
        return unsafe UnsafePointer(y)
    }
}

/// Tokens through a prologue and into 8-bit blocks.
@safe private struct QuantizeLoop: ParallelLoop {
    let norm: NormLoop
    /// `[workers, padded]`
    let rows: UnsafeMutablePointer<Float>
    let columns: Int
    let padded: Int
    let quantized: thimble_quantized

    func run(_ tokens: Range<Int>, worker: Int) {
        let blocks = padded / Int(THIMBLE_BLOCK)
        let codes = unsafe UnsafeMutablePointer(mutating: quantized.codes!)
        let scales = unsafe UnsafeMutablePointer(mutating: quantized.scales!)
        let sums = unsafe UnsafeMutablePointer(mutating: quantized.sums!)
        for token in tokens {
            let x = unsafe norm.row(token, into: rows + worker * padded)
            unsafe norm.kernels.pointee.quantize(
                x, Int64(columns), Int64(padded), codes + token * padded, scales + token * blocks,
                sums + token * blocks)
        }
    }
}

/// Tokens through a prologue and into rows padded with zeros.
@safe private struct PadLoop: ParallelLoop {
    let norm: NormLoop
    let columns: Int
    let padded: Int
    /// `[tokens, padded]`
    let floats: UnsafeMutablePointer<Float>

    func run(_ tokens: Range<Int>, worker: Int) {
        for token in tokens {
            let y = unsafe floats + token * padded
            let x = unsafe norm.row(token, into: y)
            if unsafe x != UnsafePointer(y) { unsafe y.update(from: x, count: columns) }
            unsafe (y + columns).update(repeating: 0, count: padded - columns)
        }
    }
}

/// Rotates and stores tokens' queries, keys and values.
@safe private struct AttentionInputsLoop: ParallelLoop {
    let kernels: UnsafePointer<thimble_kernels>
    /// `[tokens, q heads | key heads | value heads]`
    let product: UnsafeMutablePointer<Float>
    let queries: Activation
    let rotary: Rotary
    let kv: PagedKV
    /// The row of the first token in `queries` and `rotary`.
    let row: Int
    /// The position of the first token in the pages.
    let position: Int

    func run(_ tokens: Range<Int>, worker: Int) {
        let width = queries.columns + 2 * kv.kvHeads * kv.headSize
        for token in tokens {
            unsafe store(product + token * width, row: row + token, position: position + token)
        }
    }

    private func store(_ values: UnsafeMutablePointer<Float>, row: Int, position: Int) {
        let headSize = kv.headSize
        let rotate =
            unsafe rotary.pairing == .halves ? kernels.pointee.rope_half! : kernels.pointee.rope_interleaved!
        let pairs = Int64(rotary.cosines.columns)
        let queryHeads = queries.columns / headSize
        for head in 0..<queryHeads + kv.kvHeads {
            unsafe rotate(values + head * headSize, rotary.cosines.row(row), rotary.sines.row(row), pairs)
        }
        unsafe queries.row(row).update(from: values, count: queries.columns)
        let page = Int(kv.blockTable[position / kv.pageTokens])
        let slot = position % kv.pageTokens
        let base = unsafe hostBase(kv.memory) + kv.offset + page * kv.pageByteCount
        let keys = unsafe values + queries.columns
        for part in 0..<2 {
            for head in 0..<kv.kvHeads {
                unsafe append(
                    keys + (part * kv.kvHeads + head) * headSize,
                    codes: base + kv.codesOffset(part: part, head: head, slot: slot),
                    scales: base + kv.scalesOffset(part: part, head: head, slot: slot))
            }
        }
    }

    /// One head's key or value into a page.
    private func append(
        _ x: UnsafePointer<Float>, codes: UnsafeMutableRawPointer, scales: UnsafeMutableRawPointer
    ) {
        let count = Int64(kv.headSize)
        switch kv.type {
        case .f16:
            unsafe kernels.pointee.store_f16(x, count, codes.assumingMemoryBound(to: UInt16.self))
        case .int8:
            unsafe kernels.pointee.store_int8(
                x, count, codes.assumingMemoryBound(to: Int8.self),
                scales.assumingMemoryBound(to: Float.self))
        case .int5:
            unsafe kernels.pointee.store_int5(
                x, count, codes.assumingMemoryBound(to: UInt32.self),
                scales.assumingMemoryBound(to: UInt32.self))
        }
    }
}
