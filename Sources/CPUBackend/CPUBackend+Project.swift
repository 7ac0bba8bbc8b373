//! Projections: prologue, matrix product, epilogue, each a kernel of its own.

internal import CKernels
internal import Glibc
public import Tensors

extension CPUBackend {
    /// Tokens that go through prologue, product and epilogue together: bounds the scratch a wide product
    /// needs.
    private static let tokenBlock = 512

    public func project(_ input: Prologue, _ weight: Matrix, _ output: Epilogue) {
        let x = input.input
        precondition(x.columns == weight.layout.columns, "an input is as wide as the matrix")
        checkShapes(output, rows: x.rows, outputs: weight.layout.rows)
        perform { () throws(BackendError) in
            for start in stride(from: 0, to: x.rows, by: Self.tokenBlock) {
                let block = start..<min(start + Self.tokenBlock, x.rows)
                let source = try unsafe prepare(input, block)
                try unsafe multiply(source, tokens: block.count, weight, output, block)
            }
        }
    }

    private func checkShapes(_ output: Epilogue, rows: Int, outputs: Int) {
        switch output {
        case .store(let y, let bias):
            precondition(y.rows == rows && y.columns == outputs && bias?.count ?? outputs == outputs)
        case .swiglu(let y):
            precondition(y.rows == rows && y.columns * 2 == outputs)
        case .add(let y):
            precondition(y.rows == rows && y.columns == outputs)
        case .attentionInputs(let q, let bias, let rotary, let kv, let start):
            precondition(q.rows == rows && q.columns + 2 * kv.kvHeads * kv.headSize == outputs)
            precondition(bias?.count ?? outputs == outputs && rotary.cosines.rows == rows)
            precondition(start >= 0 && start + rows <= kv.blockTable.count * kv.pageTokens)
        }
    }

    /// The prologue's result for the tokens of `block`: `[block.count, columns]`, in scratch or in place.
    private func prepare(_ input: Prologue, _ block: Range<Int>) throws(BackendError) -> UnsafePointer<Float>
    {
        switch input {
        case .plain(let x):
            return unsafe UnsafePointer(x.row(block.lowerBound))
        case .rmsNorm(let x, let weight, let epsilon):
            let columns = x.columns
            precondition(weight.count == columns)
            let y = try unsafe scratch.take(.normalized, block.count * columns, as: Float.self)
            pool.run(block.count) { token, _ in
                unsafe kernels.pointee.rms_norm(
                    x.row(block.lowerBound + token), weight.floats, Int64(columns), epsilon,
                    y + token * columns)
            }
            return unsafe UnsafePointer(y)
        case .residual(let residual, let delta, let deltaWeight, let weight, let epsilon):
            let columns = residual.columns
            precondition(delta.rows == residual.rows && delta.columns == columns)
            precondition(deltaWeight.count == columns && weight.count == columns)
            let y = try unsafe scratch.take(.normalized, block.count * columns, as: Float.self)
            pool.run(block.count) { token, _ in
                let row = block.lowerBound + token
                unsafe kernels.pointee.add_rms_norm(
                    delta.row(row), deltaWeight.floats, Int64(columns), epsilon, residual.row(row))
                unsafe kernels.pointee.rms_norm(
                    residual.row(row), weight.floats, Int64(columns), epsilon, y + token * columns)
            }
            return unsafe UnsafePointer(y)
        }
    }

    private func multiply(
        _ x: UnsafePointer<Float>, tokens: Int, _ weight: Matrix, _ output: Epilogue, _ block: Range<Int>
    ) throws(BackendError) {
        let outputs = weight.layout.rows
        switch output {
        case .store(let y, let bias):
            try unsafe product(x, tokens: tokens, weight, into: y.row(block.lowerBound))
            if let bias { unsafe add(bias, tokens: tokens, to: y.row(block.lowerBound)) }
        case .swiglu(let y):
            let product = try unsafe scratchProduct(x, tokens: tokens, weight)
            pool.run(tokens) { token, _ in
                unsafe kernels.pointee.swiglu(
                    product + token * outputs, Int64(outputs / 2), y.row(block.lowerBound + token))
            }
        case .add(let y):
            let product = try unsafe scratchProduct(x, tokens: tokens, weight)
            pool.run(tokens) { token, _ in
                unsafe kernels.pointee.add(
                    product + token * outputs, Int64(outputs), y.row(block.lowerBound + token))
            }
        case .attentionInputs(let queries, let bias, let rotary, let kv, let start):
            let product = try unsafe scratchProduct(x, tokens: tokens, weight)
            if let bias { unsafe add(bias, tokens: tokens, to: product) }
            pool.run(tokens) { token, _ in
                let row = block.lowerBound + token
                unsafe storeAttentionInputs(
                    product + token * outputs, queries: queries, rotary: rotary, kv: kv, row: row,
                    position: start + row)
            }
        }
    }

    private func add(_ bias: Vector, tokens: Int, to y: UnsafeMutablePointer<Float>) {
        pool.run(tokens) { token, _ in
            unsafe kernels.pointee.add(bias.floats, Int64(bias.count), y + token * bias.count)
        }
    }

    /// Rotates and stores one token's queries, keys and values; `values` is
    /// `[q heads | key heads | value heads]`.
    private func storeAttentionInputs(
        _ values: UnsafeMutablePointer<Float>, queries: Activation, rotary: Rotary, kv: PagedKV, row: Int,
        position: Int
    ) {
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
        let base = unsafe (hostBase(kv.memory) + kv.offset + page * kv.pageByteCount)
            .assumingMemoryBound(to: UInt16.self)
        let keys = unsafe values + queries.columns
        for head in 0..<2 * kv.kvHeads {
            unsafe kernels.pointee.store_f16(
                keys + head * headSize, Int64(headSize), base + (head * kv.pageTokens + slot) * headSize)
        }
    }

    /// `W x` in scratch, `[tokens, rows]`, for an epilogue to take further.
    private func scratchProduct(
        _ x: UnsafePointer<Float>, tokens: Int, _ weight: Matrix
    ) throws(BackendError) -> UnsafeMutablePointer<Float> {
        let y = try unsafe scratch.take(.product, tokens * weight.layout.rows, as: Float.self)
        try unsafe product(x, tokens: tokens, weight, into: y)
        return unsafe y
    }

    /// `y = W x`: `x [tokens, columns]`, `y [tokens, rows]`.
    func product(
        _ x: UnsafePointer<Float>, tokens: Int, _ weight: Matrix, into y: UnsafeMutablePointer<Float>
    ) throws(BackendError) {
        let layout = weight.layout
        let weights = unsafe weight.kernelWeights
        let stride = Int64(layout.rows)
        switch layout.format.type {
        case .q4:
            let quantized = try unsafe quantize(x, tokens: tokens, layout)
            overTiles(layout, tokens: tokens) { begin, end in
                var (w, q) = unsafe (weights, quantized)
                unsafe kernels.pointee.matmul_q4(&w, &q, Int64(tokens), begin, end, y, stride)
            }
        case .q8:
            let quantized = try unsafe quantize(x, tokens: tokens, layout)
            overTiles(layout, tokens: tokens) { begin, end in
                var (w, q) = unsafe (weights, quantized)
                unsafe kernels.pointee.matmul_q8(&w, &q, Int64(tokens), begin, end, y, stride)
            }
        case .f16:
            let padded = try unsafe pad(x, tokens: tokens, layout)
            overTiles(layout, tokens: tokens) { begin, end in
                var w = unsafe weights
                unsafe kernels.pointee.matmul_f16(
                    &w, padded, Int64(layout.paddedColumns), Int64(tokens), begin, end, y, stride)
            }
        case .f32:
            let padded = try unsafe pad(x, tokens: tokens, layout)
            overTiles(layout, tokens: tokens) { begin, end in
                var w = unsafe weights
                unsafe kernels.pointee.matmul_f32(
                    &w, padded, Int64(layout.paddedColumns), Int64(tokens), begin, end, y, stride)
            }
        }
    }

    /// Shares the tiles out in runs: some for each thread, so that a slow thread does not hold the rest up.
    private func overTiles(_ layout: WeightLayout, tokens: Int, _ body: (Int64, Int64) -> Void) {
        let runs = min(layout.tileCount, pool.threadCount * 8)
        pool.run(runs) { run, _ in
            body(Int64(run * layout.tileCount / runs), Int64((run + 1) * layout.tileCount / runs))
        }
    }

    private func quantize(_ x: UnsafePointer<Float>, tokens: Int, _ layout: WeightLayout) throws(BackendError)
        -> thimble_quantized
    {
        let (columns, padded) = (layout.columns, layout.paddedColumns)
        let blocks = padded / Int(THIMBLE_BLOCK)
        let codes = try unsafe scratch.take(.codes, tokens * padded, as: Int8.self)
        let scales = try unsafe scratch.take(.scales, tokens * blocks, as: Float.self)
        let sums = try unsafe scratch.take(.sums, tokens * blocks, as: Int32.self)
        pool.run(tokens) { token, _ in
            unsafe kernels.pointee.quantize(
                x + token * columns, Int64(columns), Int64(padded), codes + token * padded,
                scales + token * blocks,
                sums + token * blocks)
        }
        return unsafe thimble_quantized(codes: codes, scales: scales, sums: sums)
    }

    /// `x` with rows of `paddedColumns`: in place where nothing is padded.
    private func pad(_ x: UnsafePointer<Float>, tokens: Int, _ layout: WeightLayout) throws(BackendError)
        -> UnsafePointer<Float>
    {
        let (columns, padded) = (layout.columns, layout.paddedColumns)
        if columns == padded { return unsafe x }
        let y = try unsafe scratch.take(.padded, tokens * padded, as: Float.self)
        for token in 0..<tokens {
            unsafe (y + token * padded).update(from: x + token * columns, count: columns)
            unsafe (y + token * padded + columns).update(repeating: 0, count: padded - columns)
        }
        return unsafe UnsafePointer(y)
    }
}
