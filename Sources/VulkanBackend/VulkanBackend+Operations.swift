//! What a model does between projections, attention aside: embedding, norms, gathered sums.

internal import CShaders
public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    public func embed(_ tokens: Span<Int32>, table: Matrix, into y: Activation) {
        let layout = table.layout
        precondition(y.rows == tokens.count && y.columns == layout.columns)
        if tokens.isEmpty { return }
        var parameters = thimble_embed()
        parameters.tokens = unsafe stage(tokens.count * 4) { bytes in
            let ids = unsafe bytes.assumingMemoryBound(to: Int32.self)
            for index in tokens.indices {
                precondition(
                    tokens[index] >= 0 && tokens[index] < layout.rows, "a token is in the vocabulary")
                unsafe ids[index] = tokens[index]
            }
        }
        parameters.codes = table.codesAddress
        parameters.scales = table.scalesAddress
        parameters.y = y.address
        parameters.rows = UInt32(y.rows)
        parameters.columns = UInt32(layout.columns)
        parameters.padded_columns = UInt32(layout.paddedColumns)
        dispatch(
            "embed", workgroup: Self.rowThreads,
            constants: [UInt32(layout.format.type.bitCount), UInt32(max(layout.format.group, 32))],
            parameters,
            groups: (y.rows, 1, 1))
    }

    public func rmsNorm(_ x: Activation, weight: Vector, epsilon: Float, into y: Activation) {
        precondition(x.columns == weight.count && y.rows == x.rows && y.columns == x.columns)
        if x.rows == 0 { return }
        let parameters = thimble_rms_norm(
            x: x.address, weight: weight.address, y: y.address, rows: UInt32(x.rows),
            columns: UInt32(x.columns), epsilon: epsilon)
        dispatch("rms_norm", workgroup: Self.rowThreads, parameters, groups: (x.rows, 1, 1))
    }

    public func layerNormGELU(
        _ x: Activation, weight: Vector, bias: Vector, epsilon: Float, into y: Activation
    ) {
        precondition(x.columns == weight.count && bias.count == weight.count)
        precondition(y.rows == x.rows && y.columns == x.columns)
        if x.rows == 0 { return }
        let parameters = thimble_layer_norm_gelu(
            x: x.address, weight: weight.address, bias: bias.address, y: y.address, rows: UInt32(x.rows),
            columns: UInt32(x.columns), epsilon: epsilon)
        dispatch("layer_norm_gelu", workgroup: Self.rowThreads, parameters, groups: (x.rows, 1, 1))
    }

    /// Indices are the model's own: one beyond the table would read what lies behind it.
    public func addGathered(_ gather: WeightedGather, over cut: PatchCut, table: Vector, to y: Activation) {
        precondition(gather.sides == cut.sideCount && y.rows == cut.patchCount)
        precondition(table.count % y.columns == 0)
        let parameters = thimble_add_gathered(
            indices: deviceBuffer(gather.memory).address + UInt64(gather.indicesOffset),
            weights: gather.weights.address, table: table.address, y: y.address,
            grid_height: UInt32(cut.gridHeight), grid_width: UInt32(cut.gridWidth),
            merge_size: UInt32(cut.mergeSize), columns: UInt32(y.columns))
        dispatch(
            "add_gathered", workgroup: Self.rowThreads, constants: [UInt32(gather.taps)], parameters,
            groups: (y.rows, 1, 1))
    }

    public func spread(_ sides: Activation, over cut: PatchCut, into y: Activation) {
        precondition(sides.rows == cut.sideCount && y.rows == cut.patchCount)
        precondition(y.columns == 2 * sides.columns)
        let parameters = thimble_spread(
            sides: sides.address, y: y.address, grid_height: UInt32(cut.gridHeight),
            grid_width: UInt32(cut.gridWidth), merge_size: UInt32(cut.mergeSize),
            columns: UInt32(sides.columns))
        dispatch("spread", workgroup: Self.rowThreads, parameters, groups: (y.rows, 1, 1))
    }

    public func copy(_ x: Activation, to y: Activation) {
        precondition(x.rows == y.rows && x.columns == y.columns)
        if x.rows == 0 { return }
        stream.copy(
            from: deviceBuffer(x.memory), at: x.offset, to: deviceBuffer(y.memory), at: y.offset,
            byteCount: x.byteCount)
    }
}
