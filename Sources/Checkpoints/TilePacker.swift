//! Packs 16 rows of floats into the tiled layout.

import ModelFile
import Tensors

/// Packs a tile, or a strip of its columns, a group of columns at a time. Unchecked: one thread uses it at a
/// time.
@safe final class TilePacker: @unchecked Sendable {
    private typealias Lanes = GroupQuantizer.Lanes
    /// Half a tile: the rows that are packed at once.
    private static let rowsAtOnce = Lanes.scalarCount
    /// Columns that are packed at once where the format has no groups.
    private static let plainColumns = 32

    private let room: HostBuffer
    /// One group of columns, float32 `[columns][16]`: the room.
    private let group: UnsafeMutablePointer<Float>

    /// Throws `outOfMemory`, which names `file`.
    init(for file: String) throws(ModelFileError) {
        // No group has more columns.
        room = try HostBuffer(byteCount: 128 * WeightLayout.tileRows * 4, for: "a group of weights", of: file)
        unsafe group = room.bytes.bindMemory(to: Float.self).baseAddress!
    }

    /// Packs `columnCount` columns, a multiple of the layout's quantum, of what `reader` has read: `codes`
    /// and `scales` have room for them. Returns the first row whose scale float16 cannot hold, or nil.
    func pack(
        _ reader: TileReader, columnCount: Int, format: WeightFormat, codes: UnsafeMutableRawPointer,
        scales: UnsafeMutableRawPointer
    ) -> Int? {
        let width = format.group == 0 ? Self.plainColumns : format.group
        let codesStride = width / format.type.elementsPerWord * WeightLayout.unitByteCount
        var tooLarge = (SIMD8<Int32>(), SIMD8<Int32>())
        for index in 0..<(columnCount / width) {
            unsafe reader.transpose((index * width)..<((index + 1) * width), to: group)
            let words = unsafe codes + index * codesStride
            let groupScales = unsafe scales + index * WeightLayout.tileRows * 2
            tooLarge.0 |= unsafe pack(0, width, format, words, groupScales)
            tooLarge.1 |= unsafe pack(Self.rowsAtOnce, width, format, words, groupScales)
        }
        return (0..<WeightLayout.tileRows).first { row in
            (row < Self.rowsAtOnce ? tooLarge.0 : tooLarge.1)[row % Self.rowsAtOnce] != 0
        }
    }

    /// Packs one group of eight rows from `row` on; returns -1 for rows whose scale is too large.
    private func pack(
        _ row: Int, _ count: Int, _ format: WeightFormat, _ codes: UnsafeMutableRawPointer,
        _ scales: UnsafeMutableRawPointer
    ) -> SIMD8<Int32> {
        let weights = unsafe UnsafePointer(group + row)
        let words = unsafe codes + row * 4
        let groupScales: GroupQuantizer.Scales
        switch format.type {
        case .f32:
            unsafe Self.packF32(weights, count, to: words)
            return SIMD8()
        case .f16:
            unsafe Self.packF16(weights, count, to: words)
            return SIMD8()
        case .q8:
            groupScales = unsafe GroupQuantizer.q8(weights, count: count)
            unsafe Self.packQ8(weights, count, groupScales.inverse, to: words)
        case .q4:
            groupScales = unsafe GroupQuantizer.q4(weights, count: count)
            unsafe Self.packQ4(weights, count, groupScales.inverse, to: words)
        }
        let bits = SIMD8<UInt16>(truncatingIfNeeded: groupScales.bits)
        for lane in 0..<Self.rowsAtOnce {
            unsafe (scales + (row + lane) * 2).storeBytes(of: bits[lane].littleEndian, as: UInt16.self)
        }
        return groupScales.isTooLarge
    }

    private static func packF32(
        _ weights: UnsafePointer<Float>, _ count: Int, to words: UnsafeMutableRawPointer
    ) {
        for unit in 0..<count {
            let lanes = unsafe load(weights, unit)
            unsafe store(unsafeBitCast(lanes, to: SIMD8<UInt32>.self), to: words, unit: unit)
        }
    }

    private static func packF16(
        _ weights: UnsafePointer<Float>, _ count: Int, to words: UnsafeMutableRawPointer
    ) {
        for unit in 0..<(count / 2) {
            let low = unsafe HalfPrecision.bits(load(weights, 2 * unit))
            let high = unsafe HalfPrecision.bits(load(weights, 2 * unit + 1))
            unsafe store(low | (high &<< 16), to: words, unit: unit)
        }
    }

    private static func packQ8(
        _ weights: UnsafePointer<Float>, _ count: Int, _ inverse: Lanes, to words: UnsafeMutableRawPointer
    ) {
        for unit in 0..<(count / 4) {
            var word = SIMD8<UInt32>()
            for index in 0..<4 {
                let codes = unsafe GroupQuantizer.codes(
                    weights + (4 * unit + index) * WeightLayout.tileRows, inverse: inverse, lowest: -127,
                    highest: 127)
                word |= (codes & 0xFF) &<< UInt32(8 * index)
            }
            unsafe store(word, to: words, unit: unit)
        }
    }

    private static func packQ4(
        _ weights: UnsafePointer<Float>, _ count: Int, _ inverse: Lanes, to words: UnsafeMutableRawPointer
    ) {
        for unit in 0..<(count / 8) {
            var word = SIMD8<UInt32>()
            for index in 0..<8 {
                let codes = unsafe GroupQuantizer.codes(
                    weights + (8 * unit + index) * WeightLayout.tileRows, inverse: inverse, lowest: -8,
                    highest: 7)
                // The first four codes are the low halves of the four bytes, the next four the high halves.
                word |= ((codes &+ 8) & 0xF) &<< UInt32(8 * (index % 4) + 4 * (index / 4))
            }
            unsafe store(word, to: words, unit: unit)
        }
    }

    @inline(__always)
    private static func load(_ weights: UnsafePointer<Float>, _ column: Int) -> Lanes {
        unsafe UnsafeRawPointer(weights + column * WeightLayout.tileRows).loadUnaligned(as: Lanes.self)
    }

    /// Writes the words of eight rows. Words are little-endian, as is every processor this runs on.
    @inline(__always)
    private static func store(_ word: SIMD8<UInt32>, to words: UnsafeMutableRawPointer, unit: Int) {
        unsafe (words + unit * WeightLayout.unitByteCount).storeBytes(of: word, as: SIMD8<UInt32>.self)
    }
}
