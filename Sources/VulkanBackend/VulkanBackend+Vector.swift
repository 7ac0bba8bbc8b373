//! One row: a projection is one dispatch, attention over all positions another.

internal import CShaders
public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    public func canRecord(_ shape: StepShape, besideAttention layouts: [WeightLayout]) -> Bool {
        // The projection after attention takes eight outputs of a head at a time.
        return attentionCut(shape) != nil && shape.headSize % 8 == 0
            && layouts.allSatisfy {
                vectorTuning.projectionCut($0, pairs: shape.frequencies.count) != nil
            }
    }

    /// Queues a projection of one row; false where it must go the way of many rows.
    func projectVector(_ input: Prologue, _ weight: Matrix, _ output: Epilogue) -> Bool {
        // Attention inputs outside a step have no place on the device.
        if output.isAttentionInputs, recordingState == nil { return false }
        let layout = weight.layout
        let kind = VectorSegment.Kind(
            type: layout.format.type, group: layout.format.group,
            attention: recordingState.map(attentionConstants) ?? VectorSegment.Kind.noAttention)
        var parameters = thimble_project_vector()
        parameters.codes = weight.codesAddress
        parameters.scales = weight.scalesAddress
        let prologue = take(input, &parameters)
        let epilogue = take(output, &parameters)
        let stage = VectorSegment.Stage(
            parameters: parameters, prologue: prologue, epilogue: epilogue, layout: layout)
        guard let segment = VectorSegment(kind, stage, vectorTuning) else { return false }
        queue(segment)
        if case .attentionInputs(let queries, _, let rotary, let kv, let start) = output, kv.type != .f16 {
            storeAttentionInputs(
                parameters.y, queries: queries, rotary: rotary, kv: kv, start: start, step: recordingState)
        }
        return true
    }

    /// Queues a projection: at once, or with those that follow it in a step.
    private func queue(_ segment: VectorSegment) {
        // Weights of floats have no form that waits by itself: it is large, and they gain the least.
        guard chain != nil, segment.kind.type.isQuantized else {
            let groups = segment.groups(resident: vectorTuning.residentGroups)
            return dispatch(
                "project_vector_\(segment.kind.type.rawValue)", workgroup: segment.cut.threads,
                constants: segment.constants(vectorTuning, groups: groups), segment.stages[0].parameters,
                groups: (groups, 1, 1), shape: segment.shape)
        }
        if chain?.segment?.append(segment) != true {
            dispatchSegment()
            chain?.segment = segment
        }
        // A profile tells one projection from another.
        if profile != nil || chain?.segment?.isFull == true { dispatchSegment() }
    }

    /// Queues the projections that were gathered, as one dispatch.
    func dispatchSegment() {
        guard let segment = chain?.segment else { return }
        chain?.segment = nil
        let groups = segment.groups(resident: vectorTuning.residentGroups)
        guard let added = chain?.add(segment.stages.map(\.parameters), groups: groups) else { return }
        if added.isIndependent { stream.markIndependent() }
        queue(
            "project_vector_\(segment.kind.type.rawValue)_linked", workgroup: segment.cut.threads,
            constants: segment.constants(vectorTuning, groups: groups), added.list,
            groups: (segment.stages.count > 1 ? max(groups - absentGroups, 1) : groups, 1, 1),
            shape: segment.shape)
    }

    /// Of the step that is recorded, as the shader's constants come.
    private func attentionConstants(_ state: VulkanStepState) -> [UInt32] {
        guard let cut = attentionCut(state.shape) else {
            preconditionFailure("a step is recorded only where its attention fits")
        }
        let shape = state.shape
        return [
            shape.queryHeads, shape.kvHeads, shape.headSize, shape.pageTokens, shape.frequencies.count,
            state.splits, cut.leastRange,
        ].map { UInt32($0) }
    }

    /// Says what the input is, and returns what becomes of it.
    private func take(_ input: Prologue, _ parameters: inout thimble_project_vector) -> Int32 {
        parameters.x = input.input.address
        switch input {
        case .plain(let x):
            guard let state = recordingState, state.attended == x.address else {
                return THIMBLE_PROLOGUE_PLAIN
            }
            // Its memory may be another activation's from here on.
            state.attended = nil
            parameters.x = state.parts.address
            parameters.step = state.step.address
            return THIMBLE_PROLOGUE_PARTS
        case .rmsNorm(_, let norm, let epsilon):
            parameters.weight = norm.address
            parameters.epsilon = epsilon
            return THIMBLE_PROLOGUE_RMS_NORM
        case .residual(_, let delta, let deltaWeight, let norm, let epsilon, let sum):
            parameters.delta = delta.address
            parameters.delta_weight = deltaWeight.address
            parameters.weight = norm.address
            parameters.residual_out = sum.address
            parameters.epsilon = epsilon
            return THIMBLE_PROLOGUE_RESIDUAL
        }
    }

    /// Says where the output goes, and returns what becomes of it.
    private func take(_ output: Epilogue, _ parameters: inout thimble_project_vector) -> Int32 {
        switch output {
        case .store(let y, let bias):
            parameters.y = y.address
            parameters.bias = bias?.address ?? 0
            return THIMBLE_EPILOGUE_STORE
        case .swiglu(let y):
            parameters.y = y.address
            return THIMBLE_EPILOGUE_SWIGLU
        case .add(let y):
            parameters.y = y.address
            return THIMBLE_EPILOGUE_ADD
        case .attentionInputs(_, let bias, _, let kv, _) where kv.type != .f16:
            // Codes are made of whole heads, of which a workgroup here has a part.
            parameters.y = recordingState?.product?.address ?? 0
            parameters.bias = bias?.address ?? 0
            return THIMBLE_EPILOGUE_STORE
        case .attentionInputs(let queries, let bias, let rotary, let kv, _):
            precondition(rotary.pairing == .interleaved, "decoders turn neighbours")
            parameters.y = queries.address
            parameters.bias = bias?.address ?? 0
            parameters.pages = kv.address
            parameters.step = recordingState?.step.address ?? 0
            return THIMBLE_EPILOGUE_ATTENTION_INPUTS
        }
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
