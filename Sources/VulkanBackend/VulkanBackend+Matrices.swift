//! Projections of many rows and their attention by cooperative matrices.

internal import CShaders
internal import Tensors
internal import VulkanCompute

/// Parts of the scratch of a projection of a block of rows by matrices. Offsets in bytes.
struct MatrixScratch {
    /// Float16 `[rows, padded]` in blocks of 16 x 16.
    let x: Int
    /// Float32 `[rows]`
    let scales: Int
    /// Float32 `[2, tiles of tokens, tiles of rows, tile]`, where columns are split.
    let parts: Int
    /// Float32 `[rows, outputs]`, for attention inputs.
    let product: Int
    let byteCount: Int

    init(rows: Int, _ layout: WeightLayout, _ tuning: MatrixTuning, storesAttentionInputs: Bool) {
        // Whole tiles of tokens, for a tile reads its blocks unasked.
        let rows = (rows + 255) / 256 * 256
        var end = 0
        func add(_ byteCount: Int) -> Int {
            defer { end += (byteCount + 63) / 64 * 64 }
            return end
        }
        // And what is asked for ahead of the last column, three blocks, for nothing.
        x = add(rows * layout.paddedColumns * 2 + 3 * 512)
        scales = add(rows * 4)
        parts = add(tuning.partByteCount(tokens: rows, rows: layout.rows, columns: layout.paddedColumns))
        product = add(storesAttentionInputs ? rows * layout.rows * 4 : 0)
        byteCount = end
    }
}

extension VulkanBackend {
    /// Whether rows go through a matrix of that format by cooperative matrices.
    func usesMatrices(_ layout: WeightLayout) -> Bool { matrices != nil && layout.format.type != .f32 }

    /// Finds how the device's subgroups hold a matrix, so that prepared rows can lie as they are read.
    func findMatrixOrder() throws(VulkanError) {
        guard let matrices, matrices.shape == (16, 16, 16), subgroupSize == 32 else { return }
        let held = try DeviceBuffer(device, byteCount: 256 * 4, kind: .host)
        dispatch(
            "coopmat_order", workgroup: subgroupSize, constants: [16, 16],
            thimble_coopmat_order(y: held.address),
            groups: (1, 1, 1))
        stream.publishToHost()
        try wait()
        guard let mapped = unsafe held.mapped else { preconditionFailure("the host sees host memory") }
        let elements = unsafe mapped.bindMemory(to: UInt32.self)
        var places = [UInt32?](repeating: nil, count: 256)
        for place in 0..<256 where unsafe elements[place] < 256 {
            unsafe places[Int(elements[place])] = UInt32(place)
        }
        // Each element has a place, or matrices are held in some other way.
        let order = places.compactMap(\.self)
        guard order.count == 256 else { return }
        let buffer = try DeviceBuffer(device, byteCount: 256 * 4)
        writeSmall(order, to: buffer, at: 0)
        matrixOrder = buffer
    }

    /// Queues a projection of several rows.
    func projectByMatrices(
        _ tuning: MatrixTuning, _ input: Prologue, _ weight: Matrix, _ output: Epilogue
    ) {
        let (rows, layout) = (input.input.rows, weight.layout)
        let parts = MatrixScratch(
            rows: rows, layout, tuning, storesAttentionInputs: output.isAttentionInputs)
        let scratch = scratchAddress(parts.byteCount)
        prepareHalf(input, layout, x: scratch + UInt64(parts.x), scales: scratch + UInt64(parts.scales))
        multiplyByMatrices(tuning, rows: rows, parts, scratch, weight, output)
        if case .attentionInputs(let queries, _, let rotary, let kv, let start) = output {
            storeAttentionInputs(
                scratch + UInt64(parts.product), queries: queries, rotary: rotary, kv: kv, start: start)
        }
    }

    private func prepareHalf(_ input: Prologue, _ layout: WeightLayout, x: UInt64, scales: UInt64) {
        var parameters = thimble_prepare_half()
        parameters.x = input.input.address
        parameters.y = x
        parameters.scales = scales
        parameters.order = matrixOrder?.address ?? 0
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
        let threads = 256
        let kept = (layout.paddedColumns / 4 + threads - 1) / threads
        dispatch(
            "prepare_half", workgroup: threads,
            constants: [UInt32(kind), UInt32(kept), matrixOrder == nil ? 0 : 1], parameters,
            groups: (input.input.rows, 1, 1), shape: "\(input.input.rows)x\(layout.columns)")
    }

    private func multiplyByMatrices(
        _ tuning: MatrixTuning, rows: Int, _ parts: MatrixScratch, _ scratch: UInt64, _ weight: Matrix,
        _ output: Epilogue
    ) {
        let layout = weight.layout
        let (tile, splits) = tuning.tile(tokens: rows, rows: layout.rows, columns: layout.paddedColumns)
        var parameters = thimble_matmul_coopmat()
        parameters.x = scratch + UInt64(parts.x)
        parameters.x_scales = scratch + UInt64(parts.scales)
        parameters.codes = weight.codesAddress
        parameters.weight_scales = weight.scalesAddress
        parameters.parts = scratch + UInt64(parts.parts)
        parameters.counters = splitCounters?.address ?? 0
        parameters.tokens = UInt32(rows)
        parameters.rows = UInt32(layout.rows)
        parameters.padded_columns = UInt32(layout.paddedColumns)
        parameters.splits = UInt32(splits)
        // As matmul_coopmat counts them.
        let (store, add, swiglu): (UInt32, UInt32, UInt32) = (0, 1, 2)
        let kind: UInt32
        switch output {
        case .store(let y, let bias):
            kind = store
            parameters.y = y.address
            parameters.bias = bias?.address ?? 0
        case .swiglu(let y):
            kind = swiglu
            parameters.y = y.address
        case .add(let y):
            kind = add
            parameters.y = y.address
        case .attentionInputs(_, let bias, _, _, _):
            kind = store
            parameters.y = scratch + UInt64(parts.product)
            parameters.bias = bias?.address ?? 0
        }
        let tiles = [
            tile.tokens, tile.rows, tile.columns, tile.partTokens, tile.partRows, tuning.shape.m,
            tuning.shape.n, tuning.shape.k, tile.stages,
        ].map { UInt32($0) }
        dispatch(
            "matmul_coopmat", workgroup: tile.parts * subgroupSize,
            constants: [UInt32(layout.format.type.bitCount), UInt32(max(layout.format.group, 32)), kind]
                + tiles
                + [matrixOrder == nil ? 0 : 1],
            parameters,
            groups: (
                (rows + tile.tokens - 1) / tile.tokens, (layout.rows + tile.rows - 1) / tile.rows, splits
            ), shape: "\(rows)x\(layout.rows)x\(layout.columns)")
    }

    /// Rows and keys that a workgroup of `attention_coopmat2` takes at a time.
    private static let attentionTile = (rows: 128, keys: 64)

    /// Whether attention of many queries, at multiples of 16 bytes, goes by cooperative matrices.
    func attendsByMatrices(headSize: Int, pageTokens: Int) -> Bool {
        guard matrixUse >= .attention, device.physical.hasCooperativeMatrix2, let matrices,
            matrices.shape == (16, 16, 16), headSize % 16 == 0, pageTokens % 16 == 0
        else { return false }
        let (rows, keys) = Self.attentionTile
        let shared = max(rows, 2 * keys) * (headSize * 2 + 16) + rows * (16 * 4 + 8)
        return shared <= device.physical.sharedMemoryByteCount
    }

    /// Queues attention of many queries over so many ranges, the longest of which has `rows` of a key head;
    /// false where matrices do not fit its shape.
    func attendByMatrices(
        _ parameters: thimble_attention, headSize: Int, _ type: KVType, rows: Int, ranges: Int
    ) -> Bool {
        let pageTokens = Int(parameters.page_tokens)
        // A lane rotates eight elements of a head.
        guard attendsByMatrices(headSize: headSize, pageTokens: pageTokens), parameters.queries % 16 == 0,
            parameters.y % 16 == 0, type != .int5 || headSize <= 8 * subgroupSize
        else { return false }
        let (tileRows, keys) = Self.attentionTile
        dispatch(
            "attention_coopmat2", workgroup: tileRows / 16 * subgroupSize,
            constants: [
                UInt32(headSize), UInt32(tileRows), UInt32(keys), 16, 16, UInt32(pageTokens), type.constant,
            ], parameters,
            groups: ((rows + tileRows - 1) / tileRows, Int(parameters.kv_heads), ranges),
            shape: Self.shape(of: parameters, ranges: ranges))
        return true
    }
}
