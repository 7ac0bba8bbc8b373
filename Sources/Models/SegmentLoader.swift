//! Brings a model's weights to where its residency has them, and hands out its tensors, shapes checked.

internal import Memory
internal import ModelFile
internal import Tensors

/// Loads segments as a residency says: whole, or their vectors only, whose matrices come and go.
public struct SegmentLoader {
    private let file: ModelFile
    private let backend: any Backend
    private let residency: Residency
    /// Whose threads read vectors of segments that are not held whole; nil where all are.
    private let store: WeightStore?
    private let reader: SegmentReader
    /// The most bytes that are brought to memory at once; nil for whole segments.
    private let mostFill: Int?
    private let total: Int
    private var done = 0
    /// By segment: its units, with their indices in the cycle.
    private var units: [Int: [(index: Int, unit: WeightUnit)]] = [:]

    /// What reading weights takes at most, before and while a model runs, in bytes: each thread's buffers.
    public static func scratchByteCount(threadCount: Int) -> Int {
        let threads = max(threadCount, WeightStore.leastThreads)
        return (threads + 2) * RunReader.Scratch.byteCount
    }

    /// Reads on `threadCount` threads; where at most `mostFill` bytes come at once, on one.
    init(
        _ file: ModelFile, _ residency: Residency, on backend: any Backend, store: WeightStore?,
        threadCount: Int, mostFill: Int? = nil
    ) throws(ModelError) {
        self.file = file
        self.store = store
        self.backend = backend
        self.residency = residency
        self.mostFill = mostFill
        do { reader = try SegmentReader(of: file, threadCount: threadCount) } catch { throw .file(error) }
        total = residency.resident.reduce(0) { $0 + file.segments[$1].entry.imageByteCount }
        for cycle in [residency.decoder, residency.vision] {
            for (index, unit) in cycle.units.enumerated() {
                units[unit.segment, default: []].append((index, unit))
            }
        }
    }

    /// The segment of that name, in memory as far as it is resident. `progress` hears the share of the
    /// resident bytes that are there.
    mutating func load(_ name: String, progress: (Double) -> Void) throws(ModelError) -> LoadedSegment {
        guard let index = file.segments.firstIndex(where: { $0.entry.name == name }) else {
            throw .mismatch("the model file has no segment \(name); convert the model again")
        }
        let segment = file.segments[index]
        guard residency.resident.contains(index) else { return try parted(segment, units[index] ?? []) }
        let memory = try makeMemory(segment.entry.imageByteCount, "weights, resident")
        if let mostFill {
            try fill(memory, from: segment, atMost: mostFill)
        } else {
            try fill(memory, from: segment, at: index)
        }
        done += segment.entry.imageByteCount
        progress(Double(done) / Double(max(total, 1)))
        return LoadedSegment(entry: segment.entry, place: .whole(memory))
    }

    private func fill(
        _ memory: any BackendMemory, from segment: Segment, at index: Int
    ) throws(ModelError) {
        if done == 0 { reader.prefetch(segment) }
        if let next = file.segments.indices.first(where: { $0 > index && residency.resident.contains($0) }) {
            reader.prefetch(file.segments[next])
        }
        do {
            try unsafe backend.fill(memory, 0..<memory.byteCount) { (bytes) throws(ModelFileError) in
                try unsafe reader.read(segment, into: bytes)
            }
        } catch {
            throw .file(error)
        }
    }

    /// Piece by piece, so that the way there holds little.
    private func fill(
        _ memory: any BackendMemory, from segment: Segment, atMost most: Int
    ) throws(ModelError) {
        let runs = RunReader(file)
        let codes = segment.entry.codesByteCount
        func pieces(_ range: Range<Int>) -> [Range<Int>] {
            stride(from: range.lowerBound, to: range.upperBound, by: most).map {
                $0..<min($0 + most, range.upperBound)
            }
        }
        let parts =
            pieces(0..<codes).map { ImagePart(codes: $0, scales: 0..<0) }
            + pieces(codes..<memory.byteCount).map { ImagePart(codes: 0..<0, scales: $0) }
        do {
            let scratch = try RunReader.Scratch(for: file.path)
            for part in parts {
                let bytes = part.codes.isEmpty ? part.scales : part.codes
                try unsafe backend.fill(memory, bytes) { (bytes) throws(ModelFileError) in
                    try unsafe runs.read(part, of: segment, into: bytes, scratch)
                }
            }
        } catch { throw .file(error) }
    }

    /// The vectors in a memory of their own, one after another.
    private func parted(
        _ segment: Segment, _ units: [(index: Int, unit: WeightUnit)]
    ) throws(ModelError) -> LoadedSegment {
        var offsets: [String: Int] = [:]
        var end = 0
        for tensor in segment.entry.tensors where tensor.kind == .vector {
            offsets[tensor.name] = end
            end += (tensor.codesByteCount + 63) / 64 * 64
        }
        let memory = try makeMemory(end, "norms and biases")
        guard let store else { preconditionFailure("what is in units comes by a store") }
        let pieces = segment.entry.tensors.filter { $0.kind == .vector }.map { tensor in
            ImagePiece(
                bytes: tensor.codesOffset..<tensor.codesOffset + tensor.codesByteCount,
                offset: offsets[tensor.name] ?? 0)
        }
        do {
            try unsafe backend.fill(memory, 0..<end) { (bytes) throws(ModelFileError) in
                try unsafe store.gather(pieces, of: segment, by: RunReader(file), into: bytes)
            }
        } catch { throw .file(error) }
        return LoadedSegment(
            entry: segment.entry, place: .parted(vectors: memory, offsets: offsets, units: units))
    }

    private func makeMemory(_ byteCount: Int, _ label: String) throws(ModelError) -> any BackendMemory {
        do { return try backend.makeMemory(byteCount: byteCount, label: label, use: .weights) } catch {
            throw .backend(error)
        }
    }
}

/// A segment, and where its tensors are.
struct LoadedSegment {
    let entry: SegmentEntry
    fileprivate let place: Place

    fileprivate init(entry: SegmentEntry, place: Place) {
        self.entry = entry
        self.place = place
    }

    /// The segment of `entry`, whose raw image lies or will lie in `memory`.
    init(_ entry: SegmentEntry, in memory: any BackendMemory) {
        self.init(entry: entry, place: .whole(memory))
    }

    fileprivate enum Place {
        /// Its raw image in one memory.
        case whole(any BackendMemory)
        /// Vectors at `offsets`, matrices in units of the cycle that they are used in.
        case parted(
            vectors: any BackendMemory, offsets: [String: Int], units: [(index: Int, unit: WeightUnit)])
    }

    /// A run of the segment's raw image, and where it is.
    struct Piece {
        /// Of the raw image.
        let bytes: Range<Int>
        let place: Place

        enum Place {
            /// From an offset of a memory that holds it.
            case held(any BackendMemory, Int)
            /// In a unit of the decoder's cycle, from an offset of that.
            case unit(Int, Int)
        }
    }

    /// The memory of the segment's raw image; nil where it is not held whole.
    var image: (any BackendMemory)? {
        if case .whole(let memory) = place { memory } else { nil }
    }

    /// All of the segment that has a meaning, each byte once, those in units in the order of their cycle.
    var pieces: [Piece] {
        switch place {
        case .whole(let memory): return [Piece(bytes: 0..<entry.imageByteCount, place: .held(memory, 0))]
        case .parted(let vectors, let offsets, let units):
            let held = entry.tensors.filter { $0.kind == .vector }.compactMap { tensor -> Piece? in
                let bytes = tensor.codesOffset..<tensor.codesOffset + tensor.codesByteCount
                // One between the matrices of a unit comes with them.
                if units.contains(where: { $0.unit.codes.overlaps(bytes) }) { return nil }
                return Piece(bytes: bytes, place: .held(vectors, offsets[tensor.name] ?? 0))
            }
            return held
                + units.flatMap { index, unit in
                    [(unit.codes, 0), (unit.scales, unit.codes.count)].filter { !$0.0.isEmpty }.map {
                        Piece(bytes: $0, place: .unit(index, $1))
                    }
                }
        }
    }

    /// The matrix of that name, which must be `rows` by `columns`.
    func matrix(_ name: String, rows: Int, columns: Int) throws(ModelError) -> WeightMatrix {
        let pieces = try pieces(of: name, rows: rows, columns: columns)
        precondition(pieces.count == 1, "only an output matrix is cut in pieces")
        return pieces[0]
    }

    /// The matrix of that name as runs of its rows, one after another: one run where it is not cut.
    func pieces(of name: String, rows: Int, columns: Int) throws(ModelError) -> [WeightMatrix] {
        let (index, tensor) = try tensor(name, .matrix, rows: rows, columns: columns)
        let layout = tensor.layout
        let (codes, scales) = (tensor.codesOffset, tensor.scalesOffset ?? 0)
        switch place {
        case .whole(let memory):
            return [
                WeightMatrix(
                    Matrix(layout: layout, memory: memory, codesOffset: codes, scalesOffset: scales))
            ]
        case .parted(_, _, let units):
            return units.filter { $0.unit.tensors.contains(index) }.map { position, unit in
                let tiles = unit.tiles ?? 0..<layout.tileCount
                let firstRow = tiles.lowerBound * WeightLayout.tileRows
                let piece = WeightLayout(
                    rows: min(tiles.upperBound * WeightLayout.tileRows, rows) - firstRow, columns: columns,
                    format: layout.format)
                return WeightMatrix(
                    layout: piece, unit: position,
                    codes: codes + tiles.lowerBound * layout.tileByteCount - unit.codes.lowerBound,
                    scales: unit.codes.count + scales + tiles.lowerBound * layout.tileScalesByteCount
                        - unit.scales.lowerBound)
            }
        }
    }

    /// The matrix of that name where it is held from load to end. Precondition: it is.
    func residentMatrix(_ name: String, rows: Int, columns: Int) throws(ModelError) -> Matrix {
        try matrix(name, rows: rows, columns: columns).resident
    }

    /// The vector of that name, which must have `count` elements.
    func vector(_ name: String, count: Int) throws(ModelError) -> Vector {
        let (_, tensor) = try tensor(name, .vector, rows: count, columns: 1)
        switch place {
        case .whole(let memory): return Vector(memory, offset: tensor.codesOffset, count: count)
        case .parted(let memory, let offsets, _):
            return Vector(memory, offset: offsets[name] ?? 0, count: count)
        }
    }

    private func tensor(
        _ name: String, _ kind: TensorEntry.Kind, rows: Int, columns: Int
    ) throws(ModelError) -> (index: Int, tensor: TensorEntry) {
        guard let index = entry.tensors.firstIndex(where: { $0.name == name }) else {
            throw .mismatch("segment \(entry.name) has no tensor \(name); convert the model again")
        }
        let tensor = entry.tensors[index]
        guard tensor.kind == kind, tensor.rows == rows, tensor.columns == columns else {
            throw .mismatch(
                "tensor \(name) of segment \(entry.name) is a \(tensor.kind.rawValue) of \(tensor.rows) x "
                    + "\(tensor.columns); the configuration asks for a \(kind.rawValue) of \(rows) x "
                    + "\(columns)"
            )
        }
        return (index, tensor)
    }
}
