//! What becomes of a projection to queries, keys and values: it is rotated and stored.

internal import CKernels
internal import Tensors

/// Rotates and stores tokens' queries, keys and values. By addresses only, as `NormLoop`.
@safe struct AttentionInputsLoop: ParallelLoop {
    private let kernels: UnsafePointer<thimble_kernels>
    /// `[tokens, q heads | key heads | value heads]`
    private let product: UnsafeMutablePointer<Float>
    /// `[tokens, q heads]`
    private let queries: UnsafeMutablePointer<Float>
    /// `[tokens, pairs]`
    private let cosines: UnsafePointer<Float>
    private let sines: UnsafePointer<Float>
    private let pairing: Rotary.Pairing
    private let pairs: Int
    private let queryHeads: Int
    private let kvHeads: Int
    private let headSize: Int
    /// The position of the first token in the pages.
    private let position: Int
    private let type: KVType
    /// Page 0 of the layer, and the page of each run of `pageTokens` positions.
    private let pages: UnsafeMutableRawPointer
    private let blockTable: UnsafePointer<Int32>
    private let pageTokens: Int
    private let pageByteCount: Int

    /// Calls `body` with what an epilogue makes of a product of tokens of which `row` is the first; with nil
    /// for one of another kind.
    static func with(
        _ output: Epilogue, of product: UnsafeMutablePointer<Float>, row: Int,
        _ kernels: UnsafePointer<thimble_kernels>, _ body: (AttentionInputsLoop?) -> Void
    ) {
        guard case .attentionInputs(let queries, _, let rotary, let kv, let start) = output else {
            return body(nil)
        }
        unsafe kv.blockTable.pages.withUnsafeBufferPointer { table in
            guard let table = table.baseAddress else { preconditionFailure("tokens are stored in pages") }
            body(
                unsafe AttentionInputsLoop(
                    kernels: kernels, product: product, queries: queries.row(row),
                    cosines: UnsafePointer(rotary.cosines.row(row)),
                    sines: UnsafePointer(rotary.sines.row(row)), pairing: rotary.pairing,
                    pairs: rotary.cosines.columns, queryHeads: queries.columns / kv.headSize,
                    kvHeads: kv.kvHeads, headSize: kv.headSize, position: start + row, type: kv.type,
                    pages: hostBase(kv.memory) + kv.offset, blockTable: table, pageTokens: kv.pageTokens,
                    pageByteCount: kv.pageByteCount))
        }
    }

    /// Heads of a token: queries, keys, values.
    var headCount: Int { queryHeads + 2 * kvHeads }

    func run(_ tokens: Range<Int>, worker: Int) {
        for token in tokens { store(token, heads: 0..<headCount) }
    }

    /// Some heads of a token: each by itself.
    func store(_ token: Int, heads: Range<Int>) {
        let values = unsafe product + token * headCount * headSize
        let rotate =
            unsafe pairing == .halves ? kernels.pointee.rope_half! : kernels.pointee.rope_interleaved!
        let (page, slot) = (position + token).quotientAndRemainder(dividingBy: pageTokens)
        let base = unsafe pages + Int(blockTable[page]) * pageByteCount
        for head in heads {
            let x = unsafe values + head * headSize
            if head < queryHeads + kvHeads {
                unsafe rotate(x, cosines + token * pairs, sines + token * pairs, Int64(pairs))
            }
            if head < queryHeads {
                unsafe (queries + (token * queryHeads + head) * headSize).update(from: x, count: headSize)
            } else {
                let cached = unsafe base + (head - queryHeads) * (pageByteCount / (2 * kvHeads))
                unsafe append(x, to: cached, slot: slot)
            }
        }
    }

    /// One head's key or value into its part of a page, at the token `slot` of it.
    private func append(_ x: UnsafePointer<Float>, to cached: UnsafeMutableRawPointer, slot: Int) {
        let (count, codeBytes) = (Int64(headSize), type.codeByteCount(headSize: headSize))
        let codes = unsafe cached + slot * codeBytes
        let scales = unsafe cached + pageTokens * codeBytes + slot * type.scaleByteCount
        switch type {
        case .f16:
            unsafe kernels.pointee.store_f16(x, count, codes.assumingMemoryBound(to: UInt16.self))
        case .int8:
            unsafe kernels.pointee.store_int8(
                x, count, codes.assumingMemoryBound(to: Int8.self),
                scales.assumingMemoryBound(to: Float.self))
        case .int5:
            unsafe kernels.pointee.store_int5(
                x, count, codes.assumingMemoryBound(to: UInt32.self),
                scales.assumingMemoryBound(to: UInt32.self))
        }
    }
}
