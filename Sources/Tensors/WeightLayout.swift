//! Where each element of a weight matrix lies: the one layout that every backend reads.

/// The tiled layout of a weight matrix `W[rows, columns]` (`rows` outputs, `columns` inputs).
///
/// Rows are cut into tiles of 16. A tile is a sequence of 64-byte *units*; a unit holds one 32-bit word for
/// each of its 16 rows, and a word holds `elementsPerWord` consecutive inputs of that row: 1 for f32, 2 for
/// f16, 4 for q8 and 8 for q4. So whatever the type, 64 contiguous bytes are 16 rows by a few inputs: one
/// AVX-512 register, two AVX2 registers, one row of an AMX tile, four NEON registers, or four GPU lanes of 16
/// bytes that each serve four rows with the same inputs.
///
///     byte offset of the word of row r, input k
///         = tile(r) * tileByteCount + (k / elementsPerWord) * 64 + (r % 16) * 4
///
/// Within a word, inputs lie in order from the lowest bits, except for q4: byte `j` of the word holds input
/// `j` in its low half and input `4 + j` in its high half, so that two masks give two runs of four
/// consecutive inputs.
///
/// Scales are float16 in a plane of their own: 16 of them (one a row) for each group of each tile, so 32
/// contiguous bytes a group.
///
/// Rows are padded to a multiple of 16, columns to a multiple of `columnQuantum`; padding holds zeros (the
/// code 8 for q4) and padding scales are zero.
public struct WeightLayout: Hashable, Sendable {
    /// Rows in a tile.
    public static let tileRows = 16
    /// Bytes in a unit: 16 rows by one 32-bit word.
    public static let unitByteCount = 64

    /// Outputs of the matrix.
    public let rows: Int
    /// Inputs of the matrix.
    public let columns: Int
    public let format: WeightFormat

    /// Precondition: `rows` and `columns` are positive, and small enough that no size below overflows.
    public init(rows: Int, columns: Int, format: WeightFormat) {
        precondition(rows > 0 && columns > 0)
        precondition(rows <= 1 << 31 && columns <= 1 << 31, "a matrix has at most 2^31 rows and columns")
        self.rows = rows
        self.columns = columns
        self.format = format
    }

    /// Columns are padded to a multiple of this: the group, or 32 where the type has no groups.
    public var columnQuantum: Int { format.group == 0 ? 32 : format.group }
    /// Columns with padding.
    public var paddedColumns: Int { (columns + columnQuantum - 1) / columnQuantum * columnQuantum }
    /// Tiles of 16 rows.
    public var tileCount: Int { (rows + Self.tileRows - 1) / Self.tileRows }
    /// Groups along a row; 0 where the type has no scales.
    public var groupCount: Int { format.group == 0 ? 0 : paddedColumns / format.group }

    /// Bytes of one tile's codes.
    public var tileByteCount: Int { paddedColumns / format.type.elementsPerWord * Self.unitByteCount }
    /// Bytes of the codes plane (of the values, for f32 and f16).
    public var codesByteCount: Int { tileCount * tileByteCount }
    /// Bytes of one tile's scales.
    public var tileScalesByteCount: Int { groupCount * Self.tileRows * 2 }
    /// Bytes of the scales plane; 0 where the type has no scales.
    public var scalesByteCount: Int { tileCount * tileScalesByteCount }
}
