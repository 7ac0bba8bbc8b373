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

    init(_ device: PhysicalDevice, _ matrixUse: MatrixUse) {
        // A driver that does not say how wide it is gets enough for a small GPU.
        let processors = device.processorCount ?? (device.kind == .cpu ? 2 : 32)
        threads = device.kind == .cpu ? 64 : 512
        residentGroups = processors
        attendsByMatrices =
            matrixUse >= .attention && device.subgroupSize == 32 && device.hasMatrices(m: 16, n: 16, k: 16)
        drawGroups = min(max(processors, 1), Int(THIMBLE_SAMPLE_MAX_GROUPS))
        subgroupSize = device.subgroupSize
        sharedByteCount = device.sharedMemoryByteCount
    }

    /// Ranges that a step's attention is cut in, each a workgroup of a key head.
    func splits(kvHeads: Int) -> Int {
        let most = Int(THIMBLE_ATTENTION_JOINED * THIMBLE_ATTENTION_PARTS)
        return min(max(residentGroups / kvHeads, 1), most)
    }

    /// Tiles of a short row that are on their way together.
    private static let mostTilesAtOnce = 3

    /// Cells of weights that a lane has on their way, of a matrix of which a workgroup's share is so many
    /// tiles.
    func depth(_ layout: WeightLayout, _ cut: ProjectionCut, share: Int) -> Int {
        let lanes = 4 * layout.paddedColumns * layout.format.type.bitCount / 128
        let rounds = (lanes + cut.threads - 1) / cut.threads
        // Tiles of one round: all of a share, if they are few; of a longer one the next only.
        if rounds == 1 { return share <= min(Self.mostTilesAtOnce, cut.tiles) ? share : 1 }
        return 2
    }

    // MARK: What fits shared memory

    /// What a workgroup of `project_vector` has of threads, and of tiles whose sums it gathers.
    struct ProjectionCut: Equatable {
        var threads: Int
        var tiles: Int
    }

    /// Inputs that a thread holds in registers while it normalises them, at most.
    private static let mostHeld = 160

    /// The first cut that fits, for a matrix of that layout and so many rotary pairs, 0 where nothing is
    /// turned: fewer tiles cost little, fewer threads more. Nil where the input alone is too wide.
    func projectionCut(_ layout: WeightLayout, pairs: Int) -> ProjectionCut? {
        var threads = self.threads
        while threads >= max(subgroupSize, 32), threads * Self.mostHeld >= layout.paddedColumns {
            for tiles in [4, 1] {
                let cut = ProjectionCut(threads: threads, tiles: tiles)
                if projectionByteCount(cut, layout, pairs: pairs) <= sharedByteCount { return cut }
            }
            threads /= 2
        }
        return nil
    }

    /// As the shader declares it, each array rounded up.
    private func projectionByteCount(_ cut: ProjectionCut, _ layout: WeightLayout, pairs: Int) -> Int {
        let columns = layout.paddedColumns
        let input =
            switch layout.format.type {
            case .q4: columns / 32 * (32 + 8)
            case .q8: columns / 32 * (32 + 4)
            case .f16, .f32: columns * 4 + 16
            }
        let subgroups = cut.threads / subgroupSize
        let stages = Int(THIMBLE_VECTOR_STAGES) * MemoryLayout<thimble_project_vector>.stride
        return input + 64 * cut.tiles * (subgroups + 1) + 16 * (subgroups + 4) + 8 * pairs + 128 + stages
            + 4 * residentGroups
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
