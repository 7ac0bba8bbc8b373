//! Weight matrices in the tiled layout, written word by word.

public import Tensors

/// A matrix `W[rows, columns]` written to the tiled layout word by word, with the values that it stands for.
public struct TiledMatrix {
    public let layout: WeightLayout
    public var codes: [UInt8]
    public var scales: [UInt16]
    /// What each element is worth, `[rows][columns]`.
    public var values: [Float]

    /// Lays out `element(row, column)`: a code (`0...15` for q4, `-127...127` for q8) or, without scales, a
    /// value; and `scale(row, group)` where there are scales.
    public init(
        rows: Int, columns: Int, format: WeightFormat, scale: (Int, Int) -> Float16 = { _, _ in 1 },
        element: (Int, Int) -> Float
    ) {
        layout = WeightLayout(rows: rows, columns: columns, format: format)
        codes = [UInt8](repeating: format.type == .q4 ? 0x88 : 0, count: layout.codesByteCount)
        scales = [UInt16](repeating: 0, count: layout.scalesByteCount / 2)
        values = [Float](repeating: 0, count: rows * columns)
        for row in 0..<rows {
            let firstScale = row / 16 * layout.groupCount * 16 + row % 16
            for group in 0..<layout.groupCount {
                scales[firstScale + group * 16] = scale(row, group).bitPattern
            }
            for k in 0..<columns {
                let e = element(row, k)
                put(e, row: row, k: k)
                values[row * columns + k] =
                    switch format.type {
                    case .f32: e
                    case .f16: Float(Float16(e))
                    case .q8: Float(scale(row, k / format.group)) * e
                    case .q4: Float(scale(row, k / format.group)) * (e - 8)
                    }
            }
        }
    }

    private mutating func put(_ element: Float, row: Int, k: Int) {
        let perWord = layout.format.type.elementsPerWord
        let word = row / 16 * layout.tileByteCount + k / perWord * 64 + row % 16 * 4
        let within = k % perWord
        switch layout.format.type {
        case .f32: write(element.bitPattern, at: word)
        case .f16: write(Float16(element).bitPattern, at: word + within * 2)
        case .q8: codes[word + within] = UInt8(bitPattern: Int8(element))
        case .q4:
            let byte = word + within % 4
            let code = UInt8(element)
            codes[byte] = within < 4 ? codes[byte] & 0xf0 | code : codes[byte] & 0x0f | code << 4
        }
    }

    private mutating func write<T: FixedWidthInteger>(_ bits: T, at offset: Int) {
        for i in 0..<(T.bitWidth / 8) { codes[offset + i] = UInt8(truncatingIfNeeded: bits >> (i * 8)) }
    }

    /// A matrix of random codes and scales (or values in -1...1).
    public static func random(
        rows: Int, columns: Int, format: WeightFormat, using generator: inout SeededGenerator
    ) -> TiledMatrix {
        let groups = (columns + 31) / 32
        let scales = generator.floats(rows * groups, in: 0.01...0.02).map { Float16($0) }
        let elements: [Float] = (0..<rows * columns).map { _ in
            switch format.type {
            case .q4: Float(Int.random(in: 0...15, using: &generator))
            case .q8: Float(Int.random(in: -127...127, using: &generator))
            case .f16, .f32: Float.random(in: -1...1, using: &generator)
            }
        }
        return TiledMatrix(
            rows: rows, columns: columns, format: format,
            scale: { row, group in scales[row * groups + group] },
            element: { row, k in elements[row * columns + k] })
    }
}
