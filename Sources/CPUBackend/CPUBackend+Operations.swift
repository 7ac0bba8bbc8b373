//! Everything a model does between projections: embedding, attention, norms.

internal import CKernels
public import Tensors

extension CPUBackend {
    /// Query tokens that one task of an attention takes: enough to share a page's keys, few enough to
    /// balance.
    private static let queryBlock = 32

    public func embed(_ tokens: Span<Int32>, table: Matrix, into y: Activation) {
        let layout = table.layout
        precondition(y.rows == tokens.count && y.columns == layout.columns)
        var weights = unsafe table.kernelWeights
        for index in tokens.indices {
            precondition(tokens[index] >= 0 && tokens[index] < layout.rows, "a token is in the vocabulary")
            unsafe kernels.pointee.gather_row(
                &weights, Int32(layout.format.type.bitCount), Int64(tokens[index]), Int64(layout.columns),
                y.row(index))
        }
    }

    public func attention(
        queries: Activation, kv: PagedKV, start: Int, length: Int, isCausal: Bool, scale: Float,
        into y: Activation
    ) {
        precondition(y.rows == queries.rows && y.columns == queries.columns)
        precondition(queries.columns % (kv.headSize * kv.kvHeads) == 0)
        precondition(length > 0 && length <= kv.blockTable.count * kv.pageTokens)
        precondition(!isCausal || start + queries.rows <= length)
        precondition(kv.headSize <= Int(THIMBLE_MAX_HEAD_SIZE))
        perform { () throws(BackendError) in
            try attend(queries, kv, start: start, length: length, isCausal: isCausal, scale: scale, into: y)
        }
    }

    private func attend(
        _ queries: Activation, _ kv: PagedKV, start: Int, length: Int, isCausal: Bool, scale: Float,
        into y: Activation
    ) throws(BackendError) {
        let queryHeads = queries.columns / kv.headSize
        let perWorker = Int(
            thimble_attention_scratch_count(
                Int64(queryHeads), Int64(kv.kvHeads), Int64(kv.headSize), Int64(kv.pageTokens)))
        let scratch = try unsafe self.scratch.take(.attention, perWorker * pool.threadCount, as: Float.self)
        let pages = unsafe (hostBase(kv.memory) + kv.offset).assumingMemoryBound(to: UInt16.self)
        unsafe kv.blockTable.withUnsafeBufferPointer { table in
            let call = unsafe thimble_attention(
                q: queries.floats, out: y.floats, shares: nil, pages: pages, block_table: table.baseAddress,
                q_stride: Int64(queries.columns), out_stride: Int64(y.columns),
                page_stride: Int64(kv.pageByteCount / 2), page_tokens: Int64(kv.pageTokens),
                q_heads: Int64(queryHeads), kv_heads: Int64(kv.kvHeads), head_size: Int64(kv.headSize),
                start: Int64(start), kv_length: Int64(length), key_begin: 0, key_end: Int64(length),
                causal: isCausal ? 1 : 0, scale: scale)
            let blocks = (queries.rows + Self.queryBlock - 1) / Self.queryBlock
            pool.run(blocks * kv.kvHeads) { task, worker in
                // Late blocks of a causal attention see the most keys: they go first, so that none is left
                // over.
                let block = blocks - 1 - task / kv.kvHeads
                var call = unsafe call
                unsafe kernels.pointee.attention(
                    &call, Int64(task % kv.kvHeads), Int64(block * Self.queryBlock),
                    Int64(min((block + 1) * Self.queryBlock, queries.rows)), scratch + worker * perWorker)
            }
        }
    }

    public func rmsNorm(_ x: Activation, weight: Vector, epsilon: Float, into y: Activation) {
        precondition(x.columns == weight.count && y.rows == x.rows && y.columns == x.columns)
        pool.run(x.rows) { row, _ in
            unsafe kernels.pointee.rms_norm(x.row(row), weight.floats, Int64(x.columns), epsilon, y.row(row))
        }
    }

    public func layerNormGELU(
        _ x: Activation, weight: Vector, bias: Vector, epsilon: Float, into y: Activation
    ) {
        precondition(x.columns == weight.count && bias.count == weight.count)
        precondition(y.rows == x.rows && y.columns == x.columns)
        pool.run(x.rows) { row, _ in
            unsafe kernels.pointee.layer_norm(
                x.row(row), weight.floats, bias.floats, Int64(x.columns), epsilon, y.row(row))
            unsafe kernels.pointee.gelu(y.row(row), Int64(x.columns), y.row(row))
        }
    }

    public func addGathered(_ gather: WeightedGather, table: Vector, to y: Activation) {
        let columns = y.columns
        precondition(gather.indices.count == y.rows * gather.taps && table.count % columns == 0)
        let tableRows = table.count / columns
        precondition(gather.indices.allSatisfy { $0 >= 0 && $0 < tableRows }, "a gather stays in its table")
        pool.run(y.rows) { row, _ in
            let target = unsafe y.row(row)
            for tap in row * gather.taps..<(row + 1) * gather.taps {
                let source = unsafe table.floats + Int(gather.indices[tap]) * columns
                let weight = gather.weights[tap]
                for column in 0..<columns { unsafe target[column] += weight * source[column] }
            }
        }
    }

    public func copy(_ x: Activation, to y: Activation) {
        precondition(x.rows == y.rows && x.columns == y.columns)
        unsafe y.floats.update(from: x.floats, count: x.rows * x.columns)
    }
}
