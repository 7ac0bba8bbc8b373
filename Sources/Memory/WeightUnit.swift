//! What is brought into memory at once when weights are not held from load to end.

internal import ModelFile
internal import Tensors

/// Matrices of one segment that come and go together: consecutive ones, or a run of tiles of a single one.
/// Its bytes are a run of the segment's codes stream and one of its scales stream.
public struct WeightUnit: Sendable, Equatable {
    /// Index in the file's segments.
    public let segment: Int
    /// Indices of its matrices among the segment's tensors; vectors between them are held elsewhere.
    public let tensors: Range<Int>
    /// Tiles of 16 rows of the one matrix; nil where matrices are whole.
    public let tiles: Range<Int>?
    /// Bytes of the segment's raw image.
    public let codes: Range<Int>
    /// Bytes of the segment's raw image; empty where formats have no scales.
    public let scales: Range<Int>

    /// Bytes in memory: the codes, then the scales.
    public var byteCount: Int { codes.count + scales.count }

    /// Whole matrices. Precondition: those of `tensors` that are matrices begin and end it.
    init(segment: Int, entry: SegmentEntry, tensors: Range<Int>) {
        self.segment = segment
        self.tensors = tensors
        tiles = nil
        codes =
            entry.tensors[tensors.lowerBound]
            .codesOffset..<tensors.reduce(0) { end, index in
                entry.tensors[index].kind == .matrix
                    ? max(end, entry.tensors[index].codesOffset + entry.tensors[index].codesByteCount) : end
            }
        // Entries are looked at where they lie: thousands of residencies are tried for a plan.
        var scaled: Range<Int>?
        for index in tensors where entry.tensors[index].kind == .matrix {
            guard let start = entry.tensors[index].scalesOffset else { continue }
            let end = start + entry.tensors[index].scalesByteCount
            scaled = min(scaled?.lowerBound ?? start, start)..<max(scaled?.upperBound ?? end, end)
        }
        scales = scaled ?? 0..<0
    }

    /// Some tiles of a matrix.
    init(segment: Int, entry: SegmentEntry, tensor: Int, tiles: Range<Int>) {
        self.segment = segment
        tensors = tensor..<tensor + 1
        self.tiles = tiles
        let matrix = entry.tensors[tensor]
        let layout = matrix.layout
        codes =
            matrix.codesOffset + tiles.lowerBound * layout.tileByteCount..<matrix.codesOffset + tiles
            .upperBound * layout.tileByteCount
        scales =
            matrix.scalesOffset.map {
                $0 + tiles.lowerBound * layout.tileScalesByteCount..<$0 + tiles.upperBound
                    * layout.tileScalesByteCount
            } ?? 0..<0
    }
}

extension WeightUnit {
    /// The matrices of a segment in runs of at most `mostBytes`, or single ones that are larger; those named
    /// in `divisible` are cut by tiles to stay within.
    ///
    /// Precondition: `mostBytes` is positive.
    static func units(
        ofSegment index: Int, _ entry: SegmentEntry, mostBytes: Int, divisible: Set<String> = []
    ) -> [WeightUnit] {
        var units: [WeightUnit] = []
        var open: Range<Int>?
        func close() {
            if let tensors = open {
                units.append(WeightUnit(segment: index, entry: entry, tensors: tensors))
            }
            open = nil
        }
        for (position, tensor) in entry.tensors.enumerated() where tensor.kind == .matrix {
            if divisible.contains(tensor.name) {
                close()
                units += pieces(ofSegment: index, entry, position, mostBytes: mostBytes)
                continue
            }
            let joined = (open?.lowerBound ?? position)..<position + 1
            let unit = WeightUnit(segment: index, entry: entry, tensors: joined)
            if open != nil, unit.byteCount > mostBytes {
                close()
                open = position..<position + 1
            } else {
                open = joined
            }
        }
        close()
        return units
    }

    private static func pieces(
        ofSegment index: Int, _ entry: SegmentEntry, _ tensor: Int, mostBytes: Int
    ) -> [WeightUnit] {
        let layout = entry.tensors[tensor].layout
        let most = max(1, mostBytes / (layout.tileByteCount + layout.tileScalesByteCount))
        let count = (layout.tileCount + most - 1) / most
        return (0..<count).map { piece in
            // Of equal size, but for a tile.
            let tiles = piece * layout.tileCount / count..<(piece + 1) * layout.tileCount / count
            return WeightUnit(segment: index, entry: entry, tensor: tensor, tiles: tiles)
        }
    }
}
