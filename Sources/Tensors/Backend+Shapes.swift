//! What shapes the parts of a projection must have, and runs of their rows.

extension Prologue {
    /// Traps unless all parts have one shape, `columns` wide.
    public func checkShapes(columns: Int) {
        precondition(input.columns == columns, "an input is as wide as the matrix")
        switch self {
        case .plain: break
        case .rmsNorm(_, let weight, _):
            precondition(weight.count == columns)
        case .residual(let residual, let delta, let deltaWeight, let weight, _, let sum):
            precondition(delta.rows == residual.rows && delta.columns == columns)
            precondition(sum.rows == residual.rows && sum.columns == columns)
            precondition(deltaWeight.count == columns && weight.count == columns)
        }
    }

    /// The prologue of the rows of `range`.
    public func rows(_ range: Range<Int>) -> Prologue {
        switch self {
        case .plain(let x): .plain(x.rows(range))
        case .rmsNorm(let x, let weight, let epsilon):
            .rmsNorm(x.rows(range), weight: weight, epsilon: epsilon)
        case .residual(let residual, let delta, let deltaWeight, let weight, let epsilon, let sum):
            .residual(
                residual.rows(range), adding: delta.rows(range), deltaWeight: deltaWeight, weight: weight,
                epsilon: epsilon, into: sum.rows(range))
        }
    }
}

extension Epilogue {
    /// Traps unless all parts fit a product of `rows` by `outputs`.
    public func checkShapes(rows: Int, outputs: Int) {
        switch self {
        case .store(let y, let bias):
            precondition(y.rows == rows && y.columns == outputs && bias?.count ?? outputs == outputs)
        case .swiglu(let y):
            precondition(y.rows == rows && y.columns * 2 == outputs)
        case .add(let y):
            precondition(y.rows == rows && y.columns == outputs)
        case .attentionInputs(let queries, let bias, let rotary, let kv, let start):
            precondition(queries.rows == rows && queries.columns + 2 * kv.kvHeads * kv.headSize == outputs)
            precondition(bias?.count ?? outputs == outputs && rotary.cosines.rows == rows)
            precondition(start >= 0 && start + rows <= kv.blockTable.count * kv.pageTokens)
        }
    }

    /// The epilogue of the rows of `range`.
    public func rows(_ range: Range<Int>) -> Epilogue {
        switch self {
        case .store(let y, let bias): .store(y.rows(range), bias: bias)
        case .swiglu(let y): .swiglu(y.rows(range))
        case .add(let y): .add(y.rows(range))
        case .attentionInputs(let queries, let bias, let rotary, let kv, let start):
            .attentionInputs(
                queries: queries.rows(range), bias: bias, rotary: rotary.rows(range), kv: kv,
                start: start + range.lowerBound)
        }
    }

    public var isAttentionInputs: Bool {
        if case .attentionInputs = self { true } else { false }
    }
}
