//! How what computes one row is cut for a device.

internal import CShaders
internal import Tensors
internal import VulkanCompute

/// How one-row dispatches are cut for a device. The figures were the fastest of those tried on an H200.
struct VectorTuning {
    /// Threads of a projection's workgroup, where they fit.
    let threads: Int
    /// Workgroups that the device runs at once.
    let residentGroups: Int
    /// Whether the query heads of a key head make the rows of a cooperative matrix.
    let attendsByMatrices: Bool
    let drawThreads = 256
    let drawGroups: Int
    private let subgroupSize: Int
    /// Of a workgroup.
    private let sharedByteCount: Int

    init(_ device: PhysicalDevice) {
        // A driver that does not say how wide it is gets enough for a small GPU.
        let processors = device.processorCount ?? (device.kind == .cpu ? 2 : 32)
        threads = device.kind == .cpu ? 64 : 512
        residentGroups = processors
        attendsByMatrices = device.subgroupSize == 32 && device.hasMatrices(m: 16, n: 16, k: 16)
        drawGroups = min(max(processors, 1), Int(THIMBLE_SAMPLE_MAX_GROUPS))
        subgroupSize = device.subgroupSize
        sharedByteCount = device.sharedMemoryByteCount
    }

    /// Ranges that a step's attention is cut in, each a workgroup of a key head.
    func splits(kvHeads: Int) -> Int {
        let most = Int(THIMBLE_ATTENTION_JOINED * THIMBLE_ATTENTION_PARTS)
        return min(max(residentGroups / kvHeads, 1), most)
    }

    /// Cells of weights that a lane has on their way, for a row of so many inputs.
    func depth(columns: Int) -> Int { columns > 8192 ? 2 : 1 }

    // MARK: What fits shared memory

    /// What a workgroup of `project_vector` has of threads, and of tiles whose sums it gathers; and whether
    /// it holds the weights of norms before it waits for the dispatch before.
    struct ProjectionCut: Equatable {
        var threads: Int
        var tiles: Int
        var holdsNorms: Bool
    }

    /// Inputs that a thread holds in registers while it normalises them, at most.
    private static let mostHeld = 160

    /// The first cut that fits, for a matrix of that layout and so many rotary pairs, 0 where nothing is
    /// turned, and so many norms whose weights are held if there is room: fewer tiles cost little, fewer
    /// threads more. Nil where the input alone is too wide.
    func projectionCut(_ layout: WeightLayout, pairs: Int, heldNorms: Int = 0) -> ProjectionCut? {
        var threads = self.threads
        while threads >= max(subgroupSize, 32), threads * Self.mostHeld >= layout.paddedColumns {
            for norms in heldNorms > 0 ? [heldNorms, 0] : [0] {
                for tiles in [4, 1] {
                    let cut = ProjectionCut(threads: threads, tiles: tiles, holdsNorms: norms > 0)
                    let byteCount = projectionByteCount(cut, layout, pairs: pairs)
                    if byteCount + norms * layout.paddedColumns * 4 <= sharedByteCount { return cut }
                }
            }
            threads /= 2
        }
        return nil
    }

    /// As the shader declares it, each array rounded up, weights of norms aside.
    private func projectionByteCount(_ cut: ProjectionCut, _ layout: WeightLayout, pairs: Int) -> Int {
        let columns = layout.paddedColumns
        let input =
            switch layout.format.type {
            case .q4: columns / 32 * (32 + 8)
            case .q8: columns / 32 * (32 + 4)
            case .f16, .f32: columns * 4 + 16
            }
        let subgroups = cut.threads / subgroupSize
        return input + 64 * cut.tiles * (subgroups + 1) + 16 * subgroups + 8 * pairs + 128
    }

    /// Which shader attends in a step, and by how many threads a workgroup.
    struct AttentionCut: Equatable {
        var shader: String
        var threads: Int
        /// Positions that a range has at least.
        var leastRange: Int
    }

    /// The first that fits a step of that shape; nil where heads are too long.
    func attentionCut(queryHeads: Int, kvHeads: Int, headSize: Int, pageTokens: Int) -> AttentionCut? {
        let ratio = queryHeads / kvHeads
        let shares = min(ratio, 16) * (Int(THIMBLE_ATTENTION_PARTS) + 1) * 8 + 64
        let isPowerOfTwo = headSize & (headSize - 1) == 0
        if attendsByMatrices, headSize >= 16, isPowerOfTwo, pageTokens % 16 == 0, ratio <= 16 {
            for threads in [256, 128] {
                let positions = threads / 2
                let (staged, words) = (positions * 2 * (headSize + 8), max(positions + 4, headSize / 2 + 4))
                if staged + 16 * 4 * words + 1024 + 3 * 64 + shares <= sharedByteCount {
                    return AttentionCut(
                        shader: "attention_vector_coopmat", threads: threads, leastRange: positions)
                }
            }
        }
        let rows = min(ratio, 16)
        var threads = max(self.threads, 64)
        while threads >= max(subgroupSize, 64) {
            let (keys, padded) = (threads / 4, (headSize + 31) / 32 * 32)
            let byteCount = rows * (2 * padded + keys + 3) * 4 + keys * 4 + shares
            if byteCount <= sharedByteCount {
                return AttentionCut(shader: "attention_vector", threads: threads, leastRange: 64)
            }
            threads /= 2
        }
        return nil
    }
}
