//! Attention over pages, and where the device has the tables that lead to them.

internal import CShaders
public import Tensors
internal import VulkanCompute

extension VulkanBackend {
    public func attention(
        queries: Activation, kv: PagedKV, start: Int, length: Int, isCausal: Bool, scale: Float,
        into y: Activation
    ) {
        precondition(queries.rows == y.rows && queries.columns == y.columns)
        precondition(queries.columns % (kv.kvHeads * kv.headSize) == 0)
        if let recordingState {
            precondition(queries.rows == 1 && isCausal)
            return attentionVector(recordingState, queries: queries, kv: kv, scale: scale, into: y)
        }
        precondition(length >= 0 && length <= kv.blockTable.count * kv.pageTokens)
        precondition(!isCausal || start + queries.rows <= length)
        if queries.rows == 0 { return }
        var parameters = thimble_attention()
        parameters.queries = queries.address
        parameters.pages = kv.address
        parameters.block_table = address(of: kv.blockTable)
        parameters.y = y.address
        parameters.tokens = UInt32(queries.rows)
        parameters.heads = UInt32(queries.columns / kv.headSize)
        parameters.kv_heads = UInt32(kv.kvHeads)
        parameters.page_tokens = UInt32(kv.pageTokens)
        parameters.start = UInt32(start)
        parameters.key_count = UInt32(length)
        parameters.is_causal = isCausal ? 1 : 0
        parameters.scale = scale
        if attendByMatrices(parameters, headSize: kv.headSize, kv.type) { return }
        let rows = queries.rows * (queries.columns / kv.headSize / kv.kvHeads)
        let tileRows = Int(THIMBLE_ATTENTION_TILE_ROWS)
        dispatch(
            "attention", workgroup: Int(THIMBLE_ATTENTION_THREADS),
            constants: [UInt32(kv.headSize), kv.type.constant],
            parameters,
            groups: ((rows + tileRows - 1) / tileRows, kv.kvHeads, 1),
            shape: "\(queries.rows) behind \(start)")
    }

    /// Where the device has a block table, uploaded where it has changed.
    func address(of table: BlockTable) -> UInt64 {
        do throws(VulkanError) {
            return try tables.address(of: table, on: device) { buffer, range in
                upload(table, range, to: buffer)
            }
        } catch {
            keep(error)
            return 0
        }
    }

    private func upload(_ table: BlockTable, _ range: Range<Int>, to buffer: DeviceBuffer) {
        unsafe write(range.count * 4, to: buffer, at: range.lowerBound * 4) { bytes in
            let pages = unsafe bytes.assumingMemoryBound(to: Int32.self)
            for index in range { unsafe pages[index - range.lowerBound] = table[index] }
        }
    }
}
