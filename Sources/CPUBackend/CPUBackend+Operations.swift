//! What a model does between projections, attention aside: embedding, norms, gathered sums.

internal import CKernels
public import Tensors

extension CPUBackend {
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

    public func addGathered(_ gather: WeightedGather, table: Vector, to y: Activation) {
        precondition(gather.rows == y.rows && table.count % y.columns == 0)
        pool.run(
            unsafe GatherLoop(kernels: kernels, gather: gather, table: table, y: y), count: y.rows,
            cost: LoopCost(.gather, units: gather.taps * y.columns))
    }

    public func copy(_ x: Activation, to y: Activation) {
        precondition(x.rows == y.rows && x.columns == y.columns)
        unsafe y.floats.update(from: x.floats, count: x.rows * x.columns)
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

@safe private struct GatherLoop: ParallelLoop {
    let kernels: UnsafePointer<thimble_kernels>
    let gather: WeightedGather
    let table: Vector
    let y: Activation

    func run(_ rows: Range<Int>, worker: Int) {
        let columns = y.columns
        let tableRows = table.count / columns
        let (indices, weights) = unsafe (gather.indexValues, gather.weights.floats)
        for row in rows {
            let target = unsafe y.row(row)
            for tap in row * gather.taps..<(row + 1) * gather.taps {
                let index = unsafe Int(indices[tap])
                precondition(index >= 0 && index < tableRows, "a gather stays in its table")
                let source = unsafe table.floats + index * columns
                unsafe kernels.pointee.add_scaled(source, weights[tap], Int64(columns), target)
            }
        }
    }
}
