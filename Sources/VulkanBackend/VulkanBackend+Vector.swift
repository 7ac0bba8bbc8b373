//! One row: a projection is one dispatch, attention over all positions another.

internal import CShaders
public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    public func canRecord(_ shape: StepShape, besideAttention layouts: [WeightLayout]) -> Bool {
        // The projection after attention takes four outputs of a head at a time.
        return attentionCut(shape) != nil && shape.headSize % 4 == 0
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
        // A dispatch that waits by itself has the time to bring the norms' weights before.
        let heldNorms = chain == nil ? 0 : input.normCount
        guard let cut = vectorTuning.projectionCut(layout, pairs: pairs, heldNorms: heldNorms) else {
            return false
        }

        var parameters = thimble_project_vector()
        parameters.codes = weight.codesAddress
        parameters.scales = weight.scalesAddress
        parameters.x = input.input.address
        parameters.rows = UInt32(layout.rows)
        parameters.columns = UInt32(layout.columns)
        var attention: [UInt32] = [1, 1, 64, 16, 0, UInt32(THIMBLE_PAIRING_INTERLEAVED)]
        var parts: [UInt32] = [1, 64]
        let prologue: Int32
        switch input {
        case .plain(let x) where recordingState?.attended == x.address:
            guard let state = recordingState, let cut = attentionCut(state.shape) else {
                preconditionFailure("attention was recorded just before")
            }
            // Its memory may be another activation's from here on.
            state.attended = nil
            prologue = THIMBLE_PROLOGUE_PARTS
            parameters.x = state.parts.address
            parameters.step = state.step.address
            attention[0] = UInt32(state.shape.queryHeads)
            attention[2] = UInt32(state.shape.headSize)
            parts = [UInt32(state.splits), UInt32(cut.leastRange)]
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
        case .attentionInputs(_, let bias, _, let kv, _) where kv.type != .f16:
            // Codes are made of whole heads, of which a workgroup here has a part.
            epilogue = THIMBLE_EPILOGUE_STORE
            parameters.y = recordingState?.product?.address ?? 0
            parameters.bias = bias?.address ?? 0
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
            constants: [
                UInt32(prologue), UInt32(epilogue), UInt32(max(layout.format.group, 32)),
                UInt32(layout.paddedColumns),
            ] + attention + [
                UInt32(cut.tiles), cut.holdsNorms ? 1 : 0,
                UInt32(vectorTuning.depth(columns: layout.columns)),
            ] + parts,
            groups: (min(layout.tileCount, vectorTuning.residentGroups), 1, 1),
            shape: "\(layout.rows)x\(layout.columns)"
        ) { link in
            parameters.link = link
            return parameters
        }
        if case .attentionInputs(let queries, _, let rotary, let kv, let start) = output, kv.type != .f16 {
            storeAttentionInputs(
                parameters.y, queries: queries, rotary: rotary, kv: kv, start: start, step: recordingState)
        }
        return true
    }

    private func attentionCut(_ shape: StepShape) -> VectorTuning.AttentionCut? {
        vectorTuning.attentionCut(
            queryHeads: shape.queryHeads, kvHeads: shape.kvHeads, headSize: shape.headSize,
            pageTokens: shape.pageTokens)
    }

    /// Queues the attention of a recorded step. What becomes of `y` is left to the projection of it.
    func attentionVector(
        _ state: VulkanStepState, queries: Activation, kv: PagedKV, scale: Float, into y: Activation
    ) {
        var parameters = thimble_attention_vector()
        parameters.queries = queries.address
        state.attended = y.address
        parameters.pages = kv.address
        parameters.step = state.step.address
        parameters.parts = state.parts.address
        parameters.arrived = state.arrived.address
        parameters.scale = scale
        let heads = queries.columns / kv.headSize
        let cut = attentionCut(state.shape)
        guard let cut else { preconditionFailure("a step is recorded only where its attention fits") }
        dispatchLinked(
            cut.shader, workgroup: cut.threads,
            constants: [
                UInt32(heads), UInt32(kv.kvHeads), UInt32(kv.headSize), UInt32(kv.pageTokens),
                UInt32(cut.leastRange), kv.type.constant,
            ],
            groups: (kv.kvHeads, state.splits, 1)
        ) { link in
            parameters.link = link
            return parameters
        }
    }
}

extension Prologue {
    /// Norms whose weights it takes.
    fileprivate var normCount: Int {
        switch self {
        case .plain: 0
        case .rmsNorm: 1
        case .residual: 2
        }
    }
}
