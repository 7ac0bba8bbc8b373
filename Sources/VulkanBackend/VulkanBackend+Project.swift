//! Projections of many rows: prologue, matrix product and epilogue as dispatches of their own.

internal import CShaders
public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    public func scratchByteCount(of operation: OperationShape) -> Int {
        guard case .projection(let rows, let layout, let storesAttentionInputs) = operation else { return 0 }
        // What one row takes lies in shared memory.
        if rows == 1, !storesAttentionInputs, vectorTuning.projectionCut(layout, pairs: 0) != nil { return 0 }
        let block = min(rows, rowBlocks.most)
        guard let matrices, usesMatrices(layout) else {
            return ProjectionScratch(rows: block, layout, storesAttentionInputs: storesAttentionInputs)
                .byteCount
        }
        return MatrixScratch(rows: block, layout, matrices, storesAttentionInputs: storesAttentionInputs)
            .byteCount
    }

    public func project(_ input: Prologue, _ weight: Matrix, _ output: Epilogue) {
        let rows = input.input.rows
        input.checkShapes(columns: weight.layout.columns)
        output.checkShapes(rows: rows, outputs: weight.layout.rows)
        if rows == 1, projectVector(input, weight, output) { return }
        precondition(
            recordingState == nil || !output.isAttentionInputs, "a step's attention inputs are one dispatch")
        if rows == 0 { return }
        let length = rowBlocks.length(of: rows)
        for start in stride(from: 0, to: rows, by: length) {
            let block = start..<min(start + length, rows)
            projectRows(input.rows(block), weight, output.rows(block))
        }
    }

    private func projectRows(_ input: Prologue, _ weight: Matrix, _ output: Epilogue) {
        let rows = input.input.rows
        if let matrices, usesMatrices(weight.layout) {
            return projectByMatrices(matrices, input, weight, output)
        }
        let parts = ProjectionScratch(
            rows: rows, weight.layout, storesAttentionInputs: output.isAttentionInputs)
        let scratch = scratchAddress(parts.byteCount)
        let prepared = prepare(input, for: weight, parts, scratch)
        multiply(
            prepared, rows: rows, parts, scratch, weight, output, product: scratch + UInt64(parts.product))
        if case .attentionInputs(let queries, _, let rotary, let kv, let start) = output {
            storeAttentionInputs(
                scratch + UInt64(parts.product), queries: queries, rotary: rotary, kv: kv, start: start)
        }
    }

    /// Queues the prologue, unless it changes nothing. Returns where its result is.
    private func prepare(
        _ input: Prologue, for weight: Matrix, _ parts: ProjectionScratch, _ scratch: UInt64
    ) -> UInt64 {
        let layout = weight.layout
        let isQuantized = layout.format.type.isQuantized
        let x = input.input
        if !isQuantized, layout.columns == layout.paddedColumns, case .plain = input { return x.address }
        var parameters = thimble_prepare()
        parameters.x = x.address
        parameters.y = scratch + UInt64(parts.x)
        parameters.scales = scratch + UInt64(parts.scales)
        parameters.sums = scratch + UInt64(parts.sums)
        parameters.rows = UInt32(x.rows)
        parameters.columns = UInt32(layout.columns)
        parameters.padded_columns = UInt32(layout.paddedColumns)
        let kind: Int32
        switch input {
        case .plain: kind = THIMBLE_PROLOGUE_PLAIN
        case .rmsNorm(_, let norm, let epsilon):
            kind = THIMBLE_PROLOGUE_RMS_NORM
            parameters.weight = norm.address
            parameters.epsilon = epsilon
        case .residual(_, let delta, let deltaWeight, let norm, let epsilon, let sum):
            kind = THIMBLE_PROLOGUE_RESIDUAL
            parameters.delta = delta.address
            parameters.delta_weight = deltaWeight.address
            parameters.weight = norm.address
            parameters.residual_out = sum.address
            parameters.epsilon = epsilon
        }
        let prepared = isQuantized ? THIMBLE_PREPARED_CODES : THIMBLE_PREPARED_FLOATS
        dispatch(
            "prepare", workgroup: Self.rowThreads, constants: [UInt32(kind), UInt32(prepared)], parameters,
            groups: (x.rows, 1, 1), shape: "\(x.rows)x\(layout.columns)")
        return parameters.y
    }

    /// Queues the product. What becomes attention inputs goes to `product` first.
    private func multiply(
        _ prepared: UInt64, rows: Int, _ parts: ProjectionScratch, _ scratch: UInt64, _ weight: Matrix,
        _ output: Epilogue, product: UInt64
    ) {
        let layout = weight.layout
        var parameters = thimble_matmul()
        parameters.x = prepared
        parameters.x_scales = scratch + UInt64(parts.scales)
        parameters.x_sums = scratch + UInt64(parts.sums)
        parameters.codes = weight.codesAddress
        parameters.scales = weight.scalesAddress
        parameters.tokens = UInt32(rows)
        parameters.rows = UInt32(layout.rows)
        parameters.padded_columns = UInt32(layout.paddedColumns)
        let kind: Int32
        switch output {
        case .store(let y, let bias):
            kind = THIMBLE_EPILOGUE_STORE
            parameters.y = y.address
            parameters.bias = bias?.address ?? 0
        case .swiglu(let y):
            kind = THIMBLE_EPILOGUE_SWIGLU
            parameters.y = y.address
        case .add(let y):
            kind = THIMBLE_EPILOGUE_ADD
            parameters.y = y.address
        case .attentionInputs(_, let bias, _, _, _):
            kind = THIMBLE_EPILOGUE_STORE
            parameters.y = product
            parameters.bias = bias?.address ?? 0
        }
        let (tileRows, tileTokens) = (Int(THIMBLE_MATMUL_TILE_ROWS), Int(THIMBLE_MATMUL_TILE_TOKENS))
        dispatch(
            "matmul", workgroup: Int(THIMBLE_MATMUL_THREADS),
            constants: [
                UInt32(layout.format.type.bitCount), UInt32(max(layout.format.group, 32)), UInt32(kind),
            ],
            parameters,
            groups: ((layout.rows + tileRows - 1) / tileRows, (rows + tileTokens - 1) / tileTokens, 1),
            shape: "\(rows)x\(layout.rows)x\(layout.columns)")
    }

    /// Queues what becomes of a product `[tokens, query heads | key heads | value heads]`, from position
    /// `start` on; or, in a step, at the step's place.
    func storeAttentionInputs(
        _ product: UInt64, queries: Activation, rotary: Rotary, kv: PagedKV, start: Int,
        step: VulkanStepState? = nil
    ) {
        var parameters = thimble_attention_inputs()
        parameters.product = product
        parameters.cosines = rotary.cosines.address
        parameters.sines = rotary.sines.address
        parameters.queries = queries.address
        parameters.pages = kv.address
        if let step {
            parameters.step = step.step.address
            parameters.cosines = step.step.address + UInt64(THIMBLE_STEP_ANGLES)
            parameters.sines = parameters.cosines + UInt64(4 * rotary.cosines.columns)
            parameters.block_table = step.blockTable.address
        } else {
            parameters.block_table = address(of: kv.blockTable)
        }
        parameters.tokens = UInt32(queries.rows)
        parameters.query_heads = UInt32(queries.columns / kv.headSize)
        parameters.kv_heads = UInt32(kv.kvHeads)
        parameters.head_size = UInt32(kv.headSize)
        parameters.pairs = UInt32(rotary.cosines.columns)
        parameters.page_tokens = UInt32(kv.pageTokens)
        parameters.start = UInt32(start)
        dispatch(
            "attention_inputs", workgroup: Self.rowThreads,
            constants: [rotary.pairing.constant, kv.type.constant], parameters,
            groups: (queries.rows, kv.type == .f16 ? 1 : 2 * kv.kvHeads, 1))
    }

    /// Threads of a workgroup that takes a row.
    static var rowThreads: Int { 128 }
}

extension Rotary.Pairing {
    /// As the shaders call it.
    var constant: UInt32 {
        switch self {
        case .interleaved: UInt32(THIMBLE_PAIRING_INTERLEAVED)
        case .halves: UInt32(THIMBLE_PAIRING_HALVES)
        }
    }
}
