//! Writes one tile of a matrix, 16 rows of floats, in the tiled layout.

import Tensors

/// Packs tiles of one matrix. Holds one row of codes; one a thread.
@safe struct TilePacker: ~Copyable {
    let layout: WeightLayout
    private let rowCodes: UnsafeMutablePointer<UInt8>

    init(layout: WeightLayout) {
        self.layout = layout
        unsafe rowCodes = .allocate(capacity: layout.paddedColumns)
        unsafe rowCodes.initialize(repeating: 0, count: layout.paddedColumns)
    }

    deinit { unsafe rowCodes.deallocate() }

    /// Packs `values`, float32 `[16][paddedColumns]` with zeros as padding, to `codes` (`tileByteCount`
    /// bytes) and `scales` (`tileScalesByteCount` bytes). Returns the row whose scale float16 cannot hold, or
    /// nil.
    func pack(
        _ values: UnsafePointer<Float>, codes: UnsafeMutableRawPointer, scales: UnsafeMutableRawPointer
    ) -> Int? {
        for row in 0..<WeightLayout.tileRows {
            let rowValues = unsafe values + row * layout.paddedColumns
            let words = unsafe codes + row * 4
            switch layout.format.type {
            case .f32: unsafe packF32(rowValues, to: words)
            case .f16: unsafe packF16(rowValues, to: words)
            case .q8, .q4:
                guard unsafe quantize(rowValues, scales: scales + row * 2) else { return row }
                if layout.format.type == .q8 { unsafe packQ8(to: words) } else { unsafe packQ4(to: words) }
            }
        }
        return nil
    }

    /// Quantizes a row to `rowCodes`, group by group; false where a scale does not fit in float16.
    private func quantize(_ values: UnsafePointer<Float>, scales: UnsafeMutableRawPointer) -> Bool {
        let count = layout.format.group
        for group in 0..<layout.groupCount {
            let weights = unsafe values + group * count
            let codes = unsafe rowCodes + group * count
            let scale =
                unsafe layout.format.type == .q8
                ? GroupQuantizer.q8(weights, count: count, codes: codes)
                : GroupQuantizer.q4(weights, count: count, codes: codes)
            guard let scale else { return false }
            unsafe (scales + group * WeightLayout.tileRows * 2).storeBytes(
                of: scale.bitPattern.littleEndian, as: UInt16.self)
        }
        return true
    }

    private func packF32(_ values: UnsafePointer<Float>, to words: UnsafeMutableRawPointer) {
        for column in 0..<layout.paddedColumns {
            unsafe store(values[column].bitPattern, to: words, unit: column)
        }
    }

    private func packF16(_ values: UnsafePointer<Float>, to words: UnsafeMutableRawPointer) {
        for unit in 0..<(layout.paddedColumns / 2) {
            let low = unsafe Float16(values[2 * unit]).bitPattern
            let high = unsafe Float16(values[2 * unit + 1]).bitPattern
            unsafe store(UInt32(low) | UInt32(high) << 16, to: words, unit: unit)
        }
    }

    private func packQ8(to words: UnsafeMutableRawPointer) {
        for unit in 0..<(layout.paddedColumns / 4) {
            let word = unsafe UnsafeRawPointer(rowCodes + 4 * unit).loadUnaligned(as: UInt32.self)
            unsafe store(UInt32(littleEndian: word), to: words, unit: unit)
        }
    }

    private func packQ4(to words: UnsafeMutableRawPointer) {
        for unit in 0..<(layout.paddedColumns / 8) {
            let codes = unsafe UnsafeRawPointer(rowCodes + 8 * unit).loadUnaligned(as: UInt64.self)
            // The first four codes are the low halves of the four bytes, the next four the high halves.
            let ordered = UInt64(littleEndian: codes)
            let word = UInt32(truncatingIfNeeded: ordered) | UInt32(truncatingIfNeeded: ordered >> 32) << 4
            unsafe store(word, to: words, unit: unit)
        }
    }

    @inline(__always)
    private func store(_ word: UInt32, to words: UnsafeMutableRawPointer, unit: Int) {
        unsafe (words + unit * WeightLayout.unitByteCount).storeBytes(of: word.littleEndian, as: UInt32.self)
    }
}
