//! What a model does between projections, attention aside: embedding, norms, gathered sums.

internal import CKernels
public import Tensors

extension CPUBackend {
    public func embed(_ tokens: Span<Int32>, table: Matrix, into y: Activation) {
        precondition(y.rows == tokens.count)
        unsafe tokens.withUnsafeBufferPointer { unsafe gather($0, table, into: y, at: nil) }
    }

    public func embed(_ tokens: Span<Int32>, table: Matrix, into y: Activation, at rows: Span<Int32>) {
        precondition(tokens.count == rows.count)
        for index in rows.indices { precondition(rows[index] >= 0 && rows[index] < y.rows) }
        unsafe tokens.withUnsafeBufferPointer { tokens in
            unsafe rows.withUnsafeBufferPointer { unsafe gather(tokens, table, into: y, at: $0.baseAddress) }
        }
    }

    /// Rows of `table` to those of `y` that `rows` names; nil for all in order.
    private func gather(
        _ tokens: UnsafeBufferPointer<Int32>, _ table: Matrix, into y: Activation,
        at rows: UnsafePointer<Int32>?
    ) {
        let layout = table.layout
        precondition(y.columns == layout.columns)
        guard let first = tokens.baseAddress else { return }
        for index in 0..<tokens.count {
            let token = unsafe first[index]
            precondition(token >= 0 && token < layout.rows, "a token is in the vocabulary")
        }
        let loop = unsafe EmbedLoop(
            kernels: kernels, table: table.kernelWeights, bits: Int32(layout.format.type.bitCount),
            columns: layout.columns, tokens: first, rows: rows, y: y.floats)
        pool.run(loop, count: tokens.count, cost: LoopCost(.embedding, units: layout.columns))
    }

    public func rmsNorm(_ x: Activation, weight: Vector, epsilon: Float, into y: Activation) {
        precondition(x.columns == weight.count && y.rows == x.rows && y.columns == x.columns)
        let loop = unsafe RMSNormLoop(kernels: kernels, x: x, weight: weight, epsilon: epsilon, y: y)
        pool.run(loop, count: x.rows, cost: LoopCost(.rows, units: x.columns))
    }

    public func layerNormGELU(
        _ x: Activation, weight: Vector, bias: Vector, epsilon: Float, into y: Activation
    ) {
        precondition(x.columns == weight.count && bias.count == weight.count)
        precondition(y.rows == x.rows && y.columns == x.columns)
        let loop = unsafe LayerNormGELULoop(
            kernels: kernels, x: x, weight: weight, bias: bias, epsilon: epsilon, y: y)
        pool.run(loop, count: x.rows, cost: LoopCost(.rows, units: x.columns))
    }

    public func addGathered(_ gather: WeightedGather, over cut: PatchCut, table: Vector, to y: Activation) {
        precondition(gather.sides == cut.sideCount && y.rows == cut.patchCount)
        precondition(table.count % y.columns == 0)
        pool.run(
            unsafe GatherLoop(kernels: kernels, gather: gather, cut: cut, table: table, y: y),
            count: cut.gridHeight,
            cost: LoopCost(.gather, units: cut.gridWidth * gather.taps * gather.taps * y.columns))
    }

    public func spread(_ sides: Activation, over cut: PatchCut, into y: Activation) {
        precondition(sides.rows == cut.sideCount && y.rows == cut.patchCount)
        precondition(y.columns == 2 * sides.columns)
        for row in 0..<cut.gridHeight {
            for column in 0..<cut.gridWidth {
                let target = unsafe y.row(cut.patchIndex(row: row, column: column))
                unsafe target.update(from: sides.row(row), count: sides.columns)
                unsafe (target + sides.columns).update(
                    from: sides.row(cut.gridHeight + column), count: sides.columns)
            }
        }
    }

    public func copy(_ x: Activation, to y: Activation) {
        precondition(x.rows == y.rows && x.columns == y.columns)
        unsafe y.floats.update(from: x.floats, count: x.rows * x.columns)
    }
}

/// Rows of a table to rows of an activation.
@safe private struct EmbedLoop: ParallelLoop {
    let kernels: UnsafePointer<thimble_kernels>
    let table: thimble_weights
    let bits: Int32
    let columns: Int
    /// `[rows]`: the row of the table, and that of the activation unless they are all in order.
    let tokens: UnsafePointer<Int32>
    let rows: UnsafePointer<Int32>?
    /// `[rows, columns]`
    let y: UnsafeMutablePointer<Float>

    func run(_ indices: Range<Int>, worker: Int) {
        var table = unsafe table
        for index in indices {
            let row = unsafe rows.map { unsafe Int($0[index]) } ?? index
            unsafe kernels.pointee.gather_row(
                &table, bits, Int64(tokens[index]), Int64(columns), y + row * columns)
        }
    }
}

@safe private struct RMSNormLoop: ParallelLoop {
    let kernels: UnsafePointer<thimble_kernels>
    let x: Activation
    let weight: Vector
    let epsilon: Float
    let y: Activation

    func run(_ rows: Range<Int>, worker: Int) {
        for row in rows {
            unsafe kernels.pointee.rms_norm(
                x.row(row), weight.floats, Int64(x.columns), epsilon, y.row(row))
        }
    }
}

@safe private struct LayerNormGELULoop: ParallelLoop {
    let kernels: UnsafePointer<thimble_kernels>
    let x: Activation
    let weight: Vector
    let bias: Vector
    let epsilon: Float
    let y: Activation

    func run(_ rows: Range<Int>, worker: Int) {
        for row in rows {
            unsafe kernels.pointee.layer_norm(
                x.row(row), weight.floats, bias.floats, Int64(x.columns), epsilon, y.row(row))
            unsafe kernels.pointee.gelu(y.row(row), Int64(x.columns), y.row(row))
        }
    }
}

/// Rows of a grid of patches.
@safe private struct GatherLoop: ParallelLoop {
    let kernels: UnsafePointer<thimble_kernels>
    let gather: WeightedGather
    let cut: PatchCut
    let table: Vector
    let y: Activation

    func run(_ rows: Range<Int>, worker: Int) {
        for row in rows {
            for column in 0..<cut.gridWidth { add(row, column) }
        }
    }

    private func add(_ row: Int, _ column: Int) {
        let (columns, taps) = (y.columns, gather.taps)
        let (indices, weights) = unsafe (gather.indexValues, gather.weights.floats)
        let target = unsafe y.row(cut.patchIndex(row: row, column: column))
        for i in row * taps..<(row + 1) * taps {
            for j in (cut.gridHeight + column) * taps..<(cut.gridHeight + column + 1) * taps {
                let index = unsafe Int(indices[i]) + Int(indices[j])
                precondition(index >= 0 && index < table.count / columns, "a gather stays in its table")
                unsafe kernels.pointee.add_scaled(
                    table.floats + index * columns, weights[i] * weights[j], Int64(columns), target)
            }
        }
    }
}
