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
        var parameters = parameters(queries, kv, scale, y)
        parameters.start = UInt32(start)
        parameters.key_count = UInt32(length)
        parameters.is_causal = isCausal ? 1 : 0
        attend(parameters, headSize: kv.headSize, kv.type, mostTokens: queries.rows, ranges: 1)
    }

    public func attention(
        queries: Activation, kv: PagedKV, within ranges: RowRanges, scale: Float, into y: Activation
    ) {
        precondition(queries.rows == y.rows && queries.columns == y.columns)
        precondition(queries.columns % (kv.kvHeads * kv.headSize) == 0)
        precondition(ranges.rows == queries.rows, "every row is of a range")
        precondition(queries.rows <= kv.blockTable.count * kv.pageTokens)
        var parameters = parameters(queries, kv, scale, y)
        parameters.ranges = deviceBuffer(ranges.memory).address + UInt64(ranges.offset)
        parameters.key_count = UInt32(queries.rows)
        attend(parameters, headSize: kv.headSize, kv.type, mostTokens: ranges.longest, ranges: ranges.count)
    }

    /// What every attention of many queries is told.
    private func parameters(
        _ queries: Activation, _ kv: PagedKV, _ scale: Float, _ y: Activation
    ) -> thimble_attention {
        var parameters = thimble_attention()
        parameters.queries = queries.address
        parameters.pages = kv.address
        parameters.block_table = address(of: kv.blockTable)
        parameters.y = y.address
        parameters.tokens = UInt32(queries.rows)
        parameters.heads = UInt32(queries.columns / kv.headSize)
        parameters.kv_heads = UInt32(kv.kvHeads)
        parameters.page_tokens = UInt32(kv.pageTokens)
        parameters.scale = scale
        return parameters
    }

    /// Queues attention over so many ranges, the longest of which has `mostTokens`.
    private func attend(
        _ parameters: thimble_attention, headSize: Int, _ type: KVType, mostTokens: Int, ranges: Int
    ) {
        let kvHeads = Int(parameters.kv_heads)
        let rows = mostTokens * (Int(parameters.heads) / kvHeads)
        if attendByMatrices(parameters, headSize: headSize, type, rows: rows, ranges: ranges) { return }
        let tileRows = Int(THIMBLE_ATTENTION_TILE_ROWS)
        dispatch(
            "attention", workgroup: Int(THIMBLE_ATTENTION_THREADS),
            constants: [UInt32(headSize), type.constant], parameters,
            groups: ((rows + tileRows - 1) / tileRows, kvHeads, ranges),
            shape: Self.shape(of: parameters, ranges: ranges))
    }

    static func shape(of parameters: thimble_attention, ranges: Int) -> String {
        ranges == 1
            ? "\(parameters.tokens) behind \(parameters.start)" : "\(parameters.tokens) in \(ranges) ranges"
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
