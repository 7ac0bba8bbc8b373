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
                unsafe kernels.pointee.add_scaled(source, gather.weights[tap], Int64(columns), target)
            }
        }
    }

    public func copy(_ x: Activation, to y: Activation) {
        precondition(x.rows == y.rows && x.columns == y.columns)
        unsafe y.floats.update(from: x.floats, count: x.rows * x.columns)
    }
}
