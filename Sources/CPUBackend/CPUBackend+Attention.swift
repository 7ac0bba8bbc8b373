//! Attention: how it is shared out among threads, and what the kernels compute of it.

internal import CKernels
public import Tensors

/// How one attention is cut into tasks: blocks of tokens by kv heads by parts of the keys.
///
/// It depends on shapes and the number of threads only, so that results do not change from run to run.
struct AttentionDivision: Equatable {
    /// Query tokens of a block.
    var blockTokens: Int
    var blocks: Int
    /// Ranges of keys that are computed apart and joined.
    var parts: Int

    /// Keys that are worth a part of their own: fewer cost little more than joining them does.
    private static let leastKeysOfPart = 128

    /// `group` query heads share a kv head; `length` keys.
    init(tokens: Int, group: Int, kvHeads: Int, length: Int, threads: Int) {
        // As many rows as a kernel holds at once, unless threads would be left over; but not so few that
        // converting the keys costs more than using them.
        let fair = (tokens * kvHeads + 4 * threads - 1) / (4 * threads)
        let most = max(1, Int(THIMBLE_ATTENTION_ROWS) / group)
        let least = max(1, 32 / group)
        blockTokens = min(tokens, most, max(fair, least))
        blocks = (tokens + blockTokens - 1) / blockTokens
        // With one token there is but a task for each kv head: a long context is cut along its keys.
        parts = max(1, min(threads / (blocks * kvHeads), length / Self.leastKeysOfPart))
    }

    /// The keys of a part of `length` keys.
    func keys(of part: Int, length: Int) -> Range<Int> {
        part * length / parts..<(part + 1) * length / parts
    }
}

extension CPUBackend {
    public func attention(
        queries: Activation, kv: PagedKV, start: Int, length: Int, isCausal: Bool, scale: Float,
        into y: Activation
    ) {
        precondition(!isCausal || start + queries.rows <= length)
        attend(
            queries: queries, kv: kv, start: start, keys: 0..<length, isCausal: isCausal, scale: scale,
            into: y)
    }

    /// Range by range, each as if it were alone, so that no bit depends on what it is beside.
    public func attention(
        queries: Activation, kv: PagedKV, within ranges: RowRanges, scale: Float, into y: Activation
    ) {
        precondition(ranges.rows == queries.rows, "every row is of a range")
        for index in 0..<ranges.count {
            let rows = ranges[index]
            attend(
                queries: queries.rows(rows), kv: kv, start: 0, keys: rows, isCausal: false, scale: scale,
                into: y.rows(rows))
        }
    }

    private func attend(
        queries: Activation, kv: PagedKV, start: Int, keys: Range<Int>, isCausal: Bool, scale: Float,
        into y: Activation
    ) {
        precondition(y.rows == queries.rows && y.columns == queries.columns)
        precondition(queries.columns % (kv.headSize * kv.kvHeads) == 0)
        precondition(!keys.isEmpty && keys.upperBound <= kv.blockTable.count * kv.pageTokens)
        precondition(kv.headSize <= Int(THIMBLE_MAX_HEAD_SIZE))
        let heads = queries.columns / kv.headSize
        let division = AttentionDivision(
            tokens: queries.rows, group: heads / kv.kvHeads, kvHeads: kv.kvHeads,
            length: keys.count, threads: pool.threadCount)
        let layout = AttentionScratch(
            queryHeads: heads, kvHeads: kv.kvHeads, headSize: kv.headSize,
            threadCount: pool.threadCount)
        let scratch = unsafe takeScratch(layout.byteCount)
        let pages = unsafe UnsafeRawPointer(hostBase(kv.memory) + kv.offset)
        unsafe kv.blockTable.pages.withUnsafeBufferPointer { table in
            let call = unsafe thimble_attention(
                q: queries.floats, out: y.floats, shares: nil, pages: pages,
                block_table: table.baseAddress, q_stride: Int64(queries.columns),
                out_stride: Int64(y.columns), page_stride: Int64(kv.pageByteCount),
                page_tokens: Int64(kv.pageTokens), q_heads: Int64(heads), kv_heads: Int64(kv.kvHeads),
                head_size: Int64(kv.headSize), start: Int64(start), kv_length: Int64(keys.upperBound),
                key_begin: Int64(keys.lowerBound), key_end: Int64(keys.upperBound), causal: isCausal ? 1 : 0,
                scale: scale, kv_type: kv.type.ofKernels)
            let loop = unsafe AttentionLoop(
                kernels: kernels, whole: call, tokens: queries.rows, division: division, layout: layout,
                scratch: scratch)
            let units =
                division.blockTokens * (heads / kv.kvHeads) * keys.count / division.parts * kv.headSize
            pool.run(
                loop, count: division.blocks * kv.kvHeads * division.parts,
                cost: LoopCost(queries.rows <= 4 ? .attentionOfFewTokens : .attention, units: max(units, 1)),
                next: queries.rows == 1 ? expected : nil)
        }
    }
}

extension KVType {
    /// As the kernels call it.
    var ofKernels: thimble_kv_type {
        switch self {
        case .f16: THIMBLE_KV_F16
        case .int8: THIMBLE_KV_INT8
        case .int5: THIMBLE_KV_INT5
        }
    }
}

/// Blocks of queries by key-value heads by parts of the keys.
@safe private struct AttentionLoop: ParallelLoop {
    let kernels: UnsafePointer<thimble_kernels>
    let whole: thimble_attention
    let tokens: Int
    let division: AttentionDivision
    let layout: AttentionScratch
    let scratch: UnsafeMutableRawPointer

    /// Where there are several parts: `[parts][tokens][q heads][head size]`.
    var outputs: UnsafeMutablePointer<Float> {
        unsafe (scratch + layout.outputs).assumingMemoryBound(to: Float.self)
    }
    /// Where there are several parts: `[parts][tokens][q heads][2]`.
    var shares: UnsafeMutablePointer<Float> {
        unsafe (scratch + layout.shares).assumingMemoryBound(to: Float.self)
    }

    func run(_ tasks: Range<Int>, worker: Int) {
        let (heads, kvHeads) = unsafe (Int(whole.q_heads), Int(whole.kv_heads))
        let columns = unsafe heads * Int(whole.head_size)
        let own = unsafe scratch.assumingMemoryBound(to: Float.self) + worker * layout.perWorker
        for task in tasks {
            var call = unsafe whole
            let part = task % division.parts
            if division.parts > 1 {
                let keys = unsafe division.keys(of: part, length: Int(whole.key_end - whole.key_begin))
                unsafe call.key_begin = whole.key_begin + Int64(keys.lowerBound)
                unsafe call.key_end = whole.key_begin + Int64(keys.upperBound)
                unsafe call.out = outputs + part * tokens * columns
                unsafe call.out_stride = Int64(columns)
                unsafe call.shares = shares + part * tokens * heads * 2
            }
            // Late blocks of a causal attention see the most keys: they go first, so that none is left over.
            let block = division.blocks - 1 - task / division.parts / kvHeads
            unsafe kernels.pointee.attention(
                &call, Int64(task / division.parts % kvHeads), Int64(block * division.blockTokens),
                Int64(min((block + 1) * division.blockTokens, tokens)), own)
        }
    }

    /// A head of a token, which its parts are joined to.
    var countAfter: Int { unsafe division.parts > 1 ? tokens * Int(whole.q_heads) : 0 }

    func runAfter(_ heads: Range<Int>, worker: Int) {
        unsafe thimble_attention_merge(
            outputs, shares, Int64(division.parts), Int64(countAfter), Int64(heads.lowerBound),
            Int64(heads.upperBound), whole.head_size, whole.out)
    }
}
