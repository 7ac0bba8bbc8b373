//! The C tables as safe functions over arrays, for the kernels' tests.

import CKernels
import Tensors
import TestSupport
import Testing

extension TiledMatrix {
    func withWeights<R>(_ body: (UnsafePointer<thimble_weights>) -> R) -> R {
        unsafe codes.withUnsafeBytes { codes in
            unsafe scales.withUnsafeBufferPointer { scales in
                var w = unsafe thimble_weights(
                    codes: codes.baseAddress, scales: scales.baseAddress, rows: Int64(layout.rows),
                    padded_columns: Int64(layout.paddedColumns), group: Int64(layout.format.group))
                return unsafe body(&w)
            }
        }
    }
}

/// Tokens quantized for an integer product.
struct QuantizedTokens: Equatable {
    var codes: [Int8]
    var scales: [Float]
    var sums: [Int32]
}

/// One variant's table, as functions over arrays of exactly the sizes that the contract names.
@safe struct Kernels: CustomTestStringConvertible, @unchecked Sendable {
    /// Tables are constants of the program.
    let table: UnsafePointer<thimble_kernels>

    var testDescription: String { unsafe String(cString: table.pointee.name) }

    static let scalar = unsafe Kernels(table: thimble_kernels_scalar())

    /// The variants this machine runs, scalar first.
    static let available: [Kernels] = {
        var tables = unsafe [UnsafePointer<thimble_kernels>?](repeating: nil, count: 8)
        let count = unsafe thimble_kernels_available(&tables, 8)
        return unsafe tables.prefix(Int(count)).map { unsafe Kernels(table: $0!) }
    }()

    func quantize(_ x: [Float], tokens: Int, padded: Int) -> QuantizedTokens {
        let count = x.count / tokens
        var q = QuantizedTokens(codes: [], scales: [], sums: [])
        for token in 0..<tokens {
            var codes = [Int8](repeating: 99, count: padded)
            var scales = [Float](repeating: 99, count: padded / 32)
            var sums = [Int32](repeating: 99, count: padded / 32)
            let row = Array(x[token * count..<(token + 1) * count])
            unsafe table.pointee.quantize(row, Int64(count), Int64(padded), &codes, &scales, &sums)
            q.codes += codes
            q.scales += scales
            q.sums += sums
        }
        return q
    }

    /// `y[tokens][rows + 1]`: the last element of a token is `untouched`, and so are rows outside `tiles`.
    func matmul(_ w: TiledMatrix, _ x: QuantizedTokens, tiles: Range<Int>, untouched: Float = -77) -> [Float]
    {
        let tokens = x.codes.count / w.layout.paddedColumns
        let stride = w.layout.rows + 1
        var y = [Float](repeating: untouched, count: tokens * stride)
        let kernel = unsafe w.layout.format.type == .q4 ? table.pointee.matmul_q4! : table.pointee.matmul_q8!
        unsafe x.codes.withUnsafeBufferPointer { codes in
            unsafe x.scales.withUnsafeBufferPointer { scales in
                unsafe x.sums.withUnsafeBufferPointer { sums in
                    var q = unsafe thimble_quantized(
                        codes: codes.baseAddress, scales: scales.baseAddress, sums: sums.baseAddress)
                    unsafe w.withWeights { w in
                        unsafe kernel(
                            w, &q, Int64(tokens), Int64(tiles.lowerBound), Int64(tiles.upperBound), &y,
                            Int64(stride))
                    }
                }
            }
        }
        return y
    }

    /// The same from float32 `x[tokens][columns]`, which is padded here.
    func matmul(_ w: TiledMatrix, _ x: [Float], tiles: Range<Int>, untouched: Float = -77) -> [Float] {
        let columns = w.layout.columns
        let padded = w.layout.paddedColumns
        let tokens = x.count / columns
        let stride = w.layout.rows + 1
        var inputs = [Float](repeating: 0, count: tokens * padded)
        for i in x.indices { inputs[i / columns * padded + i % columns] = x[i] }
        var y = [Float](repeating: untouched, count: tokens * stride)
        let kernel =
            unsafe w.layout.format.type == .f16 ? table.pointee.matmul_f16! : table.pointee.matmul_f32!
        unsafe w.withWeights { w in
            unsafe kernel(
                w, inputs, Int64(padded), Int64(tokens), Int64(tiles.lowerBound), Int64(tiles.upperBound), &y,
                Int64(stride))
        }
        return y
    }

    func gatherRow(_ w: TiledMatrix, row: Int) -> [Float] {
        var y = [Float](repeating: -77, count: w.layout.columns)
        unsafe w.withWeights { pointer in
            unsafe table.pointee.gather_row(
                pointer, Int32(w.layout.format.type.bitCount), Int64(row), Int64(w.layout.columns), &y)
        }
        return y
    }

    func rmsNorm(_ x: [Float], weight: [Float], epsilon: Float) -> [Float] {
        var y = [Float](repeating: -77, count: x.count)
        unsafe table.pointee.rms_norm(x, weight, Int64(x.count), epsilon, &y)
        return y
    }

    func addRMSNorm(_ x: [Float], weight: [Float], epsilon: Float, residual: [Float]) -> [Float] {
        var y = residual
        unsafe table.pointee.add_rms_norm(x, weight, Int64(x.count), epsilon, &y)
        return y
    }

    func layerNorm(_ x: [Float], weight: [Float], bias: [Float], epsilon: Float) -> [Float] {
        var y = [Float](repeating: -77, count: x.count)
        unsafe table.pointee.layer_norm(x, weight, bias, Int64(x.count), epsilon, &y)
        return y
    }

    func add(_ x: [Float], to y: [Float]) -> [Float] {
        var y = y
        unsafe table.pointee.add(x, Int64(x.count), &y)
        return y
    }

    func addScaled(_ x: [Float], by factor: Float, to y: [Float]) -> [Float] {
        var y = y
        unsafe table.pointee.add_scaled(x, factor, Int64(x.count), &y)
        return y
    }

    func swiglu(_ x: [Float]) -> [Float] {
        var y = [Float](repeating: -77, count: x.count / 2)
        unsafe table.pointee.swiglu(x, Int64(y.count), &y)
        return y
    }

    /// In place, as the contract allows.
    func gelu(_ x: [Float]) -> [Float] {
        var y = x
        unsafe y.withUnsafeMutableBufferPointer { y in
            unsafe table.pointee.gelu(y.baseAddress, Int64(y.count), y.baseAddress)
        }
        return y
    }

    func rope(_ x: [Float], cosines: [Float], sines: [Float], interleaved: Bool) -> [Float] {
        var y = x
        let kernel = unsafe interleaved ? table.pointee.rope_interleaved! : table.pointee.rope_half!
        unsafe kernel(&y, cosines, sines, Int64(cosines.count))
        return y
    }

    /// A head's key or value into a page.
    @unsafe func store(
        _ x: [Float], _ type: KVType, codes: UnsafeMutableRawPointer, scales: UnsafeMutableRawPointer
    ) {
        let count = Int64(x.count)
        switch type {
        case .f16:
            unsafe table.pointee.store_f16(x, count, codes.assumingMemoryBound(to: UInt16.self))
        case .int8:
            unsafe table.pointee.store_int8(
                x, count, codes.assumingMemoryBound(to: Int8.self),
                scales.assumingMemoryBound(to: Float.self))
        case .int5:
            unsafe table.pointee.store_int5(
                x, count, codes.assumingMemoryBound(to: UInt32.self),
                scales.assumingMemoryBound(to: UInt32.self))
        }
    }

    func storeF16(_ x: [Float]) -> [UInt16] {
        var y = [UInt16](repeating: 77, count: x.count)
        unsafe table.pointee.store_f16(x, Int64(x.count), &y)
        return y
    }

    /// Attention of every head over the keys of `keys`, all of them where it is nil: outputs
    /// `[tokens][outStride]`, -77 where nothing is written, and shares `[tokens][qHeads][2]`.
    func attention(_ c: AttentionCase, keys: Range<Int>? = nil) -> (out: [Float], shares: [Float]) {
        let keys = keys ?? 0..<c.keyCount
        var out = [Float](repeating: -77, count: c.tokens * c.outStride)
        var shares = [Float](repeating: -77, count: c.tokens * c.qHeads * 2)
        let count = thimble_attention_scratch_count(Int64(c.headSize))
        var scratch = [Float](repeating: .nan, count: Int(count))
        unsafe c.q.withUnsafeBufferPointer { q in
            unsafe c.pages.withUnsafeBufferPointer { pages in
                unsafe c.blockTable.withUnsafeBufferPointer { blockTable in
                    unsafe out.withUnsafeMutableBufferPointer { out in
                        unsafe shares.withUnsafeMutableBufferPointer { shares in
                            var a = unsafe thimble_attention(
                                q: q.baseAddress, out: out.baseAddress, shares: shares.baseAddress,
                                pages: pages.baseAddress, block_table: blockTable.baseAddress,
                                q_stride: Int64(c.qStride), out_stride: Int64(c.outStride),
                                page_stride: Int64(c.pageStride * 2), page_tokens: Int64(c.pageTokens),
                                q_heads: Int64(c.qHeads), kv_heads: Int64(c.kvHeads),
                                head_size: Int64(c.headSize), start: Int64(c.start),
                                kv_length: Int64(c.keyCount), key_begin: Int64(keys.lowerBound),
                                key_end: Int64(keys.upperBound), causal: c.causal ? 1 : 0, scale: c.scale,
                                kv_type: THIMBLE_KV_F16)
                            for head in 0..<c.kvHeads {
                                unsafe table.pointee.attention(
                                    &a, Int64(head), 0, Int64(c.tokens), &scratch)
                            }
                        }
                    }
                }
            }
        }
        return (out, shares)
    }
}

/// One attention problem in paged form: pages lie shuffled, and what no position owns is NaN.
struct AttentionCase {
    var qHeads = 4
    var kvHeads = 2
    var headSize = 64
    var tokens = 5
    var start = 0
    var keyCount = 40
    var pageTokens = 16
    var causal = true

    var q: [Float] = []
    var pages: [UInt16] = []
    var blockTable: [Int32] = []

    var qStride: Int { qHeads * headSize + 3 }
    var outStride: Int { qHeads * headSize + 5 }
    var pageStride: Int { 2 * kvHeads * pageTokens * headSize + 7 }
    var scale: Float { 1 / Float(headSize).squareRoot() }

    /// Where the key (part 0) or value (part 1) of a position starts in `pages`.
    func offset(part: Int, head: Int, position: Int) -> Int {
        Int(blockTable[position / pageTokens]) * pageStride
            + ((part * kvHeads + head) * pageTokens + position % pageTokens) * headSize
    }

    func filled(seed: UInt64) -> AttentionCase {
        var filled = self
        var generator = SeededGenerator(seed: seed)
        let pageCount = (keyCount + pageTokens - 1) / pageTokens
        filled.blockTable = (0..<Int32(pageCount)).shuffled(using: &generator)
        // The last page ends where its last value does: pages need no stride behind them.
        filled.pages = [UInt16](repeating: Float16.nan.bitPattern, count: max(0, pageCount * pageStride - 7))
        for part in 0..<2 {
            for head in 0..<kvHeads {
                for position in 0..<keyCount {
                    let at = filled.offset(part: part, head: head, position: position)
                    for i in 0..<headSize {
                        let value = Float.random(in: -1...1, using: &generator)
                        filled.pages[at + i] = Float16(value).bitPattern
                    }
                }
            }
        }
        // Between rows of queries lies NaN.
        filled.q = [Float](repeating: .nan, count: (tokens - 1) * qStride + qHeads * headSize)
        for token in 0..<tokens {
            for i in 0..<qHeads * headSize {
                filled.q[token * qStride + i] = Float.random(in: -1...1, using: &generator)
            }
        }
        return filled
    }
}
