//! How a matrix is cut into what one thread converts at a time.

import Tensors

/// Whole tiles of a matrix, or a strip of the columns of one tile. Its codes are consecutive in the codes
/// plane, and its scales in the scales plane.
struct MatrixPiece {
    let tiles: Range<Int>
    /// With padding.
    let columns: Range<Int>

    func codesByteCount(_ layout: WeightLayout) -> Int {
        tiles.count * columns.count / layout.format.type.elementsPerWord * WeightLayout.unitByteCount
    }

    func scalesByteCount(_ layout: WeightLayout) -> Int {
        layout.format.group == 0
            ? 0 : tiles.count * columns.count / layout.format.group * WeightLayout.tileRows * 2
    }
}

/// The pieces of a matrix in the order of its planes. A piece has at most `maximumElementCount` elements,
/// whatever the shape of the matrix, so what a thread holds has a bound.
struct MatrixPieces {
    static let maximumElementCount = 1 << 17
    static let maximumColumnCount = maximumElementCount / WeightLayout.tileRows

    let layout: WeightLayout
    private let stripsPerTile: Int
    private let stripColumns: Int
    private let tilesPerPiece: Int

    init(_ layout: WeightLayout) {
        self.layout = layout
        let columns = layout.paddedColumns
        stripsPerTile = (columns + Self.maximumColumnCount - 1) / Self.maximumColumnCount
        // Strips of like width that end where groups do.
        let quanta = columns / layout.columnQuantum
        stripColumns = (quanta + stripsPerTile - 1) / stripsPerTile * layout.columnQuantum
        tilesPerPiece = stripsPerTile > 1 ? 1 : max(1, Self.maximumColumnCount / columns)
    }

    var count: Int {
        stripsPerTile > 1
            ? layout.tileCount * stripsPerTile : (layout.tileCount + tilesPerPiece - 1) / tilesPerPiece
    }

    subscript(index: Int) -> MatrixPiece {
        let first = index / stripsPerTile * tilesPerPiece
        let column = index % stripsPerTile * stripColumns
        return MatrixPiece(
            tiles: first..<min(first + tilesPerPiece, layout.tileCount),
            columns: column..<min(column + stripColumns, layout.paddedColumns))
    }
}
