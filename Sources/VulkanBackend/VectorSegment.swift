//! Projections of one row, as a pipeline is told of them: each by itself, or a few in turn by one dispatch.

internal import CShaders
internal import Tensors

/// Projections that one dispatch does in turn. Between two of them its workgroups wait for each other, which
/// takes half of the time that the start of another dispatch does. Those that the device has not started when
/// others need them are done by these (`shaders/include/shares.glsl`).
struct VectorSegment {
    /// What all stages of a dispatch have in common.
    struct Kind: Equatable {
        var type: ElementType
        /// Inputs a scale.
        var group: Int
        /// Of attention: query heads, kv heads, head size, page tokens, rotary pairs, splits, and positions
        /// of a range at least.
        var attention: [UInt32]

        /// Where no attention is near.
        static let noAttention: [UInt32] = [1, 1, 64, 16, 0, 1, 64]

        var pairs: Int { Int(attention[4]) }
    }

    /// One projection.
    struct Stage {
        var parameters: thimble_project_vector
        /// What becomes of the input, and of the product's sums: the shader's kinds.
        var prologue, epilogue: Int32
        var layout: WeightLayout
    }

    let kind: Kind
    private(set) var stages: [Stage]
    let cut: VectorTuning.ProjectionCut

    /// Nil where the input is too wide for a workgroup's shared memory.
    init?(_ kind: Kind, _ stage: Stage, _ tuning: VectorTuning) {
        guard let cut = tuning.projectionCut(stage.layout, pairs: kind.pairs) else { return nil }
        self.kind = kind
        self.cut = cut
        stages = [stage]
    }

    /// Takes the stages of `other` behind its own; false where one dispatch cannot do both.
    mutating func append(_ other: VectorSegment) -> Bool {
        // How a dispatch is cut follows from the widest input.
        guard kind == other.kind, cut == other.cut,
            stages.count + other.stages.count <= Int(THIMBLE_VECTOR_STAGES)
        else { return false }
        stages += other.stages
        return true
    }

    var isFull: Bool { stages.count == Int(THIMBLE_VECTOR_STAGES) }

    /// Workgroups of a device that runs so many at once.
    func groups(resident: Int) -> Int { min(stages.map(\.layout.tileCount).max() ?? 1, resident) }

    /// The shader's constants, from id 2 on, where so many workgroups run it.
    func constants(_ tuning: VectorTuning, groups: Int) -> [UInt32] {
        let capacity = stages.map(\.layout.paddedColumns).max() ?? 32
        return [UInt32(max(kind.group, 32)), UInt32(capacity), UInt32(cut.tiles)] + kind.attention
            + [UInt32(stages.count), UInt32(groups)]
            + stages.flatMap { stage in
                let share = (stage.layout.tileCount + groups - 1) / groups
                return [
                    UInt32(stage.prologue), UInt32(stage.epilogue), UInt32(stage.layout.rows),
                    UInt32(stage.layout.columns), UInt32(tuning.depth(stage.layout, cut, share: share)),
                    stage.parameters.bias == 0 ? 0 : 1, UInt32(share),
                ]
            }
    }

    /// For a profile.
    var shape: String { stages.map { "\($0.layout.rows)x\($0.layout.columns)" }.joined(separator: " ") }
}
