//! Where the fixtures lie, files made for one test, and a naive reader of tiled weights.

import Foundation
import ModelFile
import Tensors
import TestSupport

extension Fixtures {
    /// The path of a checkpoint's fixture.
    static func path(_ name: String) -> String { url("checkpoints/" + name).path }
}

extension TemporaryDirectory {
    /// A copy of a fixture folder, to be damaged.
    func copy(of fixture: String) throws -> String {
        let target = path(fixture)
        try FileManager.default.copyItem(atPath: Fixtures.path(fixture), toPath: target)
        return target
    }

    /// Writes a safetensors file of a header as text and of data.
    func safetensors(_ header: String, dataByteCount: Int = 0, name: String = "model.safetensors") throws
        -> String
    {
        var bytes = Data()
        let length = UInt64(header.utf8.count)
        for shift in stride(from: 0, to: 64, by: 8) {
            bytes.append(UInt8(truncatingIfNeeded: length >> shift))
        }
        bytes.append(contentsOf: header.utf8)
        bytes.append(Data(count: dataByteCount))
        try bytes.write(to: URL(fileURLWithPath: path(name)))
        return path(name)
    }
}

/// The raw image of one segment, with elements looked up one by one by the formula of WeightLayout.
struct SegmentImage {
    let entry: SegmentEntry
    let bytes: [UInt8]
}

extension SegmentImage {
    init(_ name: String, of file: ModelFile) throws {
        guard let segment = file.segment(named: name) else { throw CocoaError(.fileNoSuchFile) }
        var bytes = [UInt8](repeating: 0, count: segment.entry.imageByteCount)
        try unsafe bytes.withUnsafeMutableBytes { try unsafe file.read(segment, into: $0) }
        entry = segment.entry
        self.bytes = bytes
    }

    func word(at offset: Int) -> UInt32 { (0..<4).reduce(0) { $0 | UInt32(bytes[offset + $1]) << (8 * $1) } }
    func half(at offset: Int) -> UInt16 { UInt16(bytes[offset]) | UInt16(bytes[offset + 1]) << 8 }

    func vector(_ name: String) -> [Float] {
        let tensor = entry.tensor(named: name)!
        return (0..<tensor.rows).map { Float(bitPattern: word(at: tensor.codesOffset + 4 * $0)) }
    }

    /// Element `[row, column]` of a matrix; padding may be looked up, too.
    func element(_ tensor: TensorEntry, _ row: Int, _ column: Int) -> Float {
        let layout = tensor.layout
        let perWord = layout.format.type.elementsPerWord
        let word = word(
            at: tensor.codesOffset + row / 16 * layout.tileByteCount + column / perWord * 64 + row % 16 * 4)
        let lane = column % perWord
        switch layout.format.type {
        case .f32: return Float(bitPattern: word)
        case .f16: return Float(Float16(bitPattern: UInt16(truncatingIfNeeded: word >> (16 * lane))))
        case .q8:
            return Float(Int8(truncatingIfNeeded: word >> (8 * lane))) * scale(tensor, row, column)
        case .q4:
            let code = word >> (8 * (lane % 4) + 4 * (lane / 4)) & 15
            return (Float(code) - 8) * scale(tensor, row, column)
        }
    }

    func scale(_ tensor: TensorEntry, _ row: Int, _ column: Int) -> Float {
        let layout = tensor.layout
        let group = column / layout.format.group
        let offset = tensor.scalesOffset! + row / 16 * layout.tileScalesByteCount + group * 32 + row % 16 * 2
        return Float(Float16(bitPattern: half(at: offset)))
    }

    func matrix(_ name: String) -> [[Float]] {
        let tensor = entry.tensor(named: name)!
        return (0..<tensor.rows).map { row in (0..<tensor.columns).map { element(tensor, row, $0) } }
    }
}
