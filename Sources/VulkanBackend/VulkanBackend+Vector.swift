//! One row: a projection is one dispatch, attention over all positions another.

internal import CShaders
internal import Tensors
internal import VulkanCompute

/// How one-row dispatches are cut for a device. The figures were the fastest of those tried on an H200.
struct VectorTuning {
    /// Threads of a projection's workgroup.
    let threads: Int
    /// Workgroups that the device runs at once.
    let residentGroups: Int
    /// Whether the query heads of a key head make the rows of a cooperative matrix.
    let attendsByMatrices: Bool
    /// Positions that a range of attention has at least.
    let leastRange: Int
    let drawThreads = 256
    let drawGroups: Int

    init(_ device: PhysicalDevice) {
        // A driver that does not say how wide it is gets enough for a small GPU.
        let processors = device.processorCount ?? (device.kind == .cpu ? 2 : 32)
        threads = device.kind == .cpu ? 64 : 512
        residentGroups = processors
        attendsByMatrices = device.subgroupSize == 32 && device.hasMatrices(m: 16, n: 16, k: 16)
        leastRange = 64
        drawGroups = min(max(processors, 1), Int(THIMBLE_SAMPLE_MAX_GROUPS))
    }

    /// Ranges that a step's attention is cut in, each a workgroup of a key head.
    func splits(kvHeads: Int) -> Int {
        let most = Int(THIMBLE_ATTENTION_PARTS * THIMBLE_ATTENTION_PARTS)
        return min(max(residentGroups / kvHeads, 1), most)
    }

    /// Of a workgroup, beside the input: sums of 16 tiles of 16 rows from each subgroup, angles, biases.
    func sharedByteCount(_ subgroupSize: Int) -> Int { 16 * 16 * (threads / subgroupSize) * 4 + 4096 }

    /// Cells of weights that a lane has on their way, for a row of so many inputs.
    func depth(columns: Int) -> Int { columns > 8192 ? 2 : 1 }
}

extension VulkanBackend {
    /// Queues a projection of one row as one dispatch; false where it must go the way of many rows.
    func projectVector(_ input: Prologue, _ weight: Matrix, _ output: Epilogue) -> Bool {
        let layout = weight.layout
        let type = layout.format.type
        // Attention inputs outside a step have no place on the device.
        if output.isAttentionInputs, recordingState == nil { return false }
        let sharedBytes =
            layout.paddedColumns * (type.isQuantized ? 2 : 4) + vectorTuning.sharedByteCount(subgroupSize)
        guard sharedBytes <= device.physical.sharedMemoryByteCount else { return false }

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
                UInt32(kv.pageTokens), UInt32(rotary.cosines.columns), rotary.pairing.constant,
            ]
        }
        let threads = vectorTuning.threads
        dispatchLinked(
            "project_vector_\(type.rawValue)", workgroup: threads,
            constants: { waits in
                [
                    UInt32(prologue), UInt32(epilogue), UInt32(max(layout.format.group, 32)),
                    UInt32(layout.paddedColumns), waits,
                ] + attention + [16, 0, UInt32(vectorTuning.depth(columns: layout.columns))]
            }, groups: (min(layout.tileCount, vectorTuning.residentGroups), 1, 1)
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
        let byMatrices =
            vectorTuning.attendsByMatrices && kv.headSize % 16 == 0 && kv.pageTokens % 16 == 0
            && heads / kv.kvHeads <= 16
        dispatchLinked(
            byMatrices ? "attention_vector_coopmat" : "attention_vector",
            workgroup: byMatrices ? 128 : max(vectorTuning.threads, 64),
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
