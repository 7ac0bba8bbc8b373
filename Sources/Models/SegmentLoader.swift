//! Brings a segment of a model file into a backend's memory and hands out its tensors, shapes checked.

internal import ModelFile
internal import Tensors

/// A segment in memory.
struct LoadedSegment {
    let entry: SegmentEntry
    let memory: any BackendMemory

    /// Reads the segment of that name whole, by a reader of `file`. Its memory image is what the file's
    /// blocks decompress to.
    init(
        _ name: String, of file: ModelFile, on backend: any Backend, _ reader: SegmentReader
    ) throws(ModelError) {
        guard let segment = file.segment(named: name) else {
            throw .mismatch("the model file has no segment \(name); convert the model again")
        }
        entry = segment.entry
        do {
            memory = try backend.makeMemory(byteCount: entry.imageByteCount, label: name, use: .weights)
        } catch {
            throw .backend(error)
        }
        do {
            try unsafe backend.fill(memory, 0..<memory.byteCount) { (bytes) throws(ModelFileError) in
                try unsafe reader.read(segment, into: bytes)
            }
        } catch {
            throw .file(error)
        }
    }

    /// The matrix of that name, which must be `rows` by `columns`.
    func matrix(_ name: String, rows: Int, columns: Int) throws(ModelError) -> Matrix {
        let tensor = try tensor(name, .matrix, rows: rows, columns: columns)
        return Matrix(
            layout: tensor.layout, memory: memory, codesOffset: tensor.codesOffset,
            scalesOffset: tensor.scalesOffset ?? 0)
    }

    /// The vector of that name, which must have `count` elements.
    func vector(_ name: String, count: Int) throws(ModelError) -> Vector {
        let tensor = try tensor(name, .vector, rows: count, columns: 1)
        return Vector(memory, offset: tensor.codesOffset, count: count)
    }

    private func tensor(
        _ name: String, _ kind: TensorEntry.Kind, rows: Int, columns: Int
    ) throws(ModelError) -> TensorEntry {
        guard let tensor = entry.tensor(named: name) else {
            throw .mismatch("segment \(entry.name) has no tensor \(name); convert the model again")
        }
        guard tensor.kind == kind, tensor.rows == rows, tensor.columns == columns else {
            throw .mismatch(
                "tensor \(name) of segment \(entry.name) is a \(tensor.kind.rawValue) of \(tensor.rows) x "
                    + "\(tensor.columns); the configuration asks for a \(kind.rawValue) of \(rows) x "
                    + "\(columns)"
            )
        }
        return tensor
    }
}
