//! One safetensors file: its header checked, its tensors read by range.

import JSON
import ModelFile

/// An open safetensors file (the format of the safetensors library, version 0.4 and later).
struct Safetensors: Sendable {
    /// The element types that are read; others are refused by name.
    enum ElementFormat: String {
        case bf16 = "BF16"
        case f16 = "F16"
        case f32 = "F32"

        var byteCount: Int { self == .f32 ? 4 : 2 }
    }

    /// One tensor of the file; the bytes it names are in the file.
    struct Entry {
        let name: String
        let format: ElementFormat
        let shape: [Int]
        /// Offset of the first byte in the file.
        let fileOffset: Int
    }

    let file: InputFile
    let entries: [Entry]

    init(path: String) throws(CheckpointError) {
        let file: InputFile
        do throws(InputFault) { file = try InputFile(path: path) } catch {
            let detail =
                error.isAbsence ? "there is no such file; the checkpoint is not complete" : error.detail
            throw CheckpointError(error.code, file: path, detail)
        }
        let dataOffset = try Self.dataOffset(of: file)
        let text = try file.checkpointBytes(at: 8, count: dataOffset - 8)
        let header: JSONValue
        do throws(JSONFault) { header = try JSONValue(parsing: text, CheckpointLimits.json) } catch {
            throw CheckpointError(
                .malformed, file: path, "the header is not JSON at byte \(8 + error.offset): \(error.detail)")
        }
        guard case .object(let members) = header else {
            throw CheckpointError(.malformed, file: path, "the header is \(header.summary), not an object")
        }
        self.file = file
        entries = try Self.entries(members, file: path, dataOffset: dataOffset, fileByteCount: file.byteCount)
    }

    /// Where the tensors' bytes begin: after 8 bytes of length and the header.
    private static func dataOffset(of file: InputFile) throws(CheckpointError) -> Int {
        guard file.byteCount >= 8 else {
            throw CheckpointError(
                .malformed, file: file.path, "\(file.byteCount) bytes are not a safetensors file")
        }
        let length = try file.checkpointBytes(at: 0, count: 8).reversed().reduce(UInt64(0)) {
            $0 << 8 | UInt64($1)
        }
        guard length <= UInt64(CheckpointLimits.maximumHeaderByteCount), Int(length) <= file.byteCount - 8
        else {
            throw CheckpointError(
                .malformed, file: file.path,
                "the header is said to have \(length) bytes, more than the file has or is supported")
        }
        return 8 + Int(length)
    }

    /// Checks each tensor, and that together they fill the rest of the file without overlaps and holes.
    private static func entries(
        _ members: [String: JSONValue], file: String, dataOffset: Int, fileByteCount: Int
    ) throws(CheckpointError) -> [Entry] {
        var places: [(range: Range<Int>, entry: Entry)] = []
        for (name, value) in members where name != "__metadata__" {
            places.append(
                try place(
                    name, value, file: file, dataOffset: dataOffset, dataByteCount: fileByteCount - dataOffset
                ))
        }
        places.sort {
            ($0.range.lowerBound, $0.range.upperBound) < ($1.range.lowerBound, $1.range.upperBound)
        }
        var end = 0
        for (range, entry) in places {
            guard range.lowerBound == end else {
                throw CheckpointError(
                    .malformed, file: file,
                    "tensor \(entry.name.prefix(128)) begins at \(range.lowerBound), "
                        + "and the one before ends at \(end)"
                )
            }
            end = range.upperBound
        }
        guard end == fileByteCount - dataOffset else {
            throw CheckpointError(
                .malformed, file: file,
                "the tensors end at \(end), and the file has \(fileByteCount - dataOffset) bytes of them")
        }
        return places.map(\.entry)
    }

    private static func place(
        _ name: String, _ value: JSONValue, file: String, dataOffset: Int, dataByteCount: Int
    ) throws(CheckpointError) -> (Range<Int>, Entry) {
        let shown = String(name.prefix(128))
        guard case .object(let members) = value else {
            throw CheckpointError(
                .malformed, file: file, "tensor \(shown) is \(value.summary), not an object")
        }
        let section = JSONSection(file: file, path: "\(shown).", members: members)
        guard let format = ElementFormat(rawValue: try section.string("dtype") ?? "") else {
            throw section.fault("dtype", "and BF16, F16 and F32 are read; give an unquantized checkpoint")
        }
        guard let shape = try section.integers("shape"), shape.count <= 8,
            let offsets = try section.integers("data_offsets"), offsets.count == 2
        else {
            throw CheckpointError(.malformed, file: file, "tensor \(shown) lacks a shape or two data_offsets")
        }
        var byteCount = format.byteCount
        for size in shape {
            let (product, overflow) = byteCount.multipliedReportingOverflow(by: size)
            guard size > 0, !overflow else {
                throw CheckpointError(.malformed, file: file, "tensor \(shown) has an impossible shape")
            }
            byteCount = product
        }
        guard offsets[0] >= 0, offsets[0] <= offsets[1], offsets[1] <= dataByteCount,
            offsets[1] - offsets[0] == byteCount
        else {
            throw CheckpointError(
                .malformed, file: file,
                "tensor \(shown) of \(byteCount) bytes "
                    + "lies at \(offsets[0]) to \(offsets[1]) of \(dataByteCount)"
            )
        }
        // A scalar is a tensor of one row.
        let entry = Entry(
            name: name, format: format, shape: shape.isEmpty ? [1] : shape,
            fileOffset: dataOffset + offsets[0])
        return (offsets[0]..<offsets[1], entry)
    }
}

extension InputFault {
    /// Whether the file is not there.
    var isAbsence: Bool {
        if case .system(_, let code) = self { return code == 2 }
        return false
    }

    /// What the fault is to a checkpoint.
    var code: CheckpointError.Code {
        if case .outOfMemory = self { return .outOfMemory }
        return .unreadable
    }
}

extension InputFile {
    /// The bytes of a range within the file, as this module throws.
    func checkpointBytes(at offset: Int, count: Int) throws(CheckpointError) -> [UInt8] {
        do throws(InputFault) { return try bytes(at: offset, count: count) } catch {
            throw CheckpointError(error.code, file: path, error.detail)
        }
    }
}
