//! One row: a projection is one dispatch, attention over all positions another.

internal import CShaders
public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    public func canRecord(_ shape: StepShape, attentionInputs layouts: [WeightLayout]) -> Bool {
        let attention = vectorTuning.attentionCut(
            queryHeads: shape.queryHeads, kvHeads: shape.kvHeads, headSize: shape.headSize,
            pageTokens: shape.pageTokens)
        return attention != nil
            && layouts.allSatisfy {
                vectorTuning.projectionCut($0, pairs: shape.frequencies.count) != nil
            }
    }

    /// Queues a projection of one row as one dispatch; false where it must go the way of many rows.
    func projectVector(_ input: Prologue, _ weight: Matrix, _ output: Epilogue) -> Bool {
        let layout = weight.layout
        let type = layout.format.type
        // Attention inputs outside a step have no place on the device.
        if output.isAttentionInputs, recordingState == nil { return false }
        var pairs = 0
        if case .attentionInputs(_, _, let rotary, _, _) = output { pairs = rotary.cosines.columns }
        guard let cut = vectorTuning.projectionCut(layout, pairs: pairs) else { return false }

        var parameters = thimble_project_vector()
        parameters.codes = weight.codesAddress
        parameters.scales = weight.scalesAddress
        parameters.x = input.input.address
        parameters.rows = UInt32(layout.rows)
        parameters.columns = UInt32(layout.columns)
        let prologue: Int32
        switch input {
        case .plain: prologue = THIMBLE_PROLOGUE_PLAIN
        case .rmsNorm(_, let norm, let epsilon):
            prologue = THIMBLE_PROLOGUE_RMS_NORM
            parameters.weight = norm.address
            parameters.epsilon = epsilon
        case .residual(_, let delta, let deltaWeight, let norm, let epsilon, let sum):
            prologue = THIMBLE_PROLOGUE_RESIDUAL
            parameters.delta = delta.address
            parameters.delta_weight = deltaWeight.address
            parameters.weight = norm.address
            parameters.residual_out = sum.address
            parameters.epsilon = epsilon
        }
        let epilogue: Int32
        var attention: [UInt32] = [1, 1, 64, 16, 0, UInt32(THIMBLE_PAIRING_INTERLEAVED)]
        switch output {
        case .store(let y, let bias):
            epilogue = THIMBLE_EPILOGUE_STORE
            parameters.y = y.address
            parameters.bias = bias?.address ?? 0
        case .swiglu(let y):
            epilogue = THIMBLE_EPILOGUE_SWIGLU
            parameters.y = y.address
        case .add(let y):
            epilogue = THIMBLE_EPILOGUE_ADD
            parameters.y = y.address
        case .attentionInputs(let queries, let bias, let rotary, let kv, _):
            epilogue = THIMBLE_EPILOGUE_ATTENTION_INPUTS
            parameters.y = queries.address
            parameters.bias = bias?.address ?? 0
            parameters.pages = kv.address
            parameters.step = recordingState?.step.address ?? 0
            attention = [
                UInt32(queries.columns / kv.headSize), UInt32(kv.kvHeads), UInt32(kv.headSize),
                UInt32(kv.pageTokens), UInt32(pairs), rotary.pairing.constant,
            ]
        }
        dispatchLinked(
            "project_vector_\(type.rawValue)", workgroup: cut.threads,
            constants: { waits in
                [
                    UInt32(prologue), UInt32(epilogue), UInt32(max(layout.format.group, 32)),
                    UInt32(layout.paddedColumns), waits,
                ] + attention + [UInt32(cut.tiles), 0, UInt32(vectorTuning.depth(columns: layout.columns))]
            }, groups: (min(layout.tileCount, vectorTuning.residentGroups), 1, 1),
            shape: "\(layout.rows)x\(layout.columns)"
        ) { link in
            parameters.link = link
            return parameters
        }
        return true
    }

    /// Queues the attention of a recorded step.
    func attentionVector(
        _ state: VulkanStepState, queries: Activation, kv: PagedKV, scale: Float, into y: Activation
    ) {
        var parameters = thimble_attention_vector()
        parameters.queries = queries.address
        parameters.y = y.address
        parameters.pages = kv.address
        parameters.step = state.step.address
        parameters.parts = state.parts.address
        parameters.arrived = state.arrived.address
        parameters.scale = scale
        let heads = queries.columns / kv.headSize
        let cut = vectorTuning.attentionCut(
            queryHeads: heads, kvHeads: kv.kvHeads, headSize: kv.headSize, pageTokens: kv.pageTokens)
        guard let cut else { preconditionFailure("a step is recorded only where its attention fits") }
        dispatchLinked(
            cut.shader, workgroup: cut.threads,
            constants: { waits in
                [
                    UInt32(heads), UInt32(kv.kvHeads), UInt32(kv.headSize), UInt32(kv.pageTokens), waits,
                    UInt32(vectorTuning.leastRange),
                ]
            }, groups: (kv.kvHeads, state.splits, 1)
        ) { link in
            parameters.link = link
            return parameters
        }
    }
}
