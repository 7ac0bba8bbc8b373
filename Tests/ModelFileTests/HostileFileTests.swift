//! Files whose checksums are right and whose contents lie: an error, never a trap.

import Foundation
import Tensors
import TestSupport
import Testing

@testable import ModelFile

@Suite struct HostileFileTests {
    let folder: TemporaryDirectory
    let path: String
    let original: ForgedFile
    var json: [UInt8] { original.manifest }

    init() throws {
        folder = try TemporaryDirectory()
        path = folder.path("sample.thimble")
        try SampleModel.write(to: path)
        original = try ForgedFile(path)
    }

    /// Opens and reads a file with another manifest and right checksums; nil if there is no fault.
    func fault(manifest: [UInt8], declared: Int? = nil) throws -> ModelFileError? {
        var file = original
        file.manifest = manifest
        file.manifestByteCount = declared
        return try file.fault(at: path)
    }

    @Test func theSameManifestIsAccepted() throws {
        let bytes = try [UInt8](Data(contentsOf: URL(filePath: path)))
        #expect(try fault(manifest: json) == nil)
        #expect(original.bytes == bytes)
    }

    @Test func aManifestOfAnotherLengthThanDeclaredIsRefused() throws {
        let limit = ContainerFormat.maximumManifestByteCount
        for declared in [0, 1, json.count - 1, json.count + 1, limit, limit + 1] {
            #expect(try fault(manifest: json, declared: declared) != nil, "\(declared)")
        }
    }

    @Test func everyFlippedBitOfASealedManifestIsHandled() throws {
        let copy = try DamagedCopy(of: original.bytes)
        let tail = Header.byteCount + original.payload.count
        var (accepted, refused) = (0, 0)
        for bit in 0..<json.count * 8 {
            var file = original
            file.manifest[bit / 8] ^= 1 << UInt8(bit % 8)
            let bytes = file.bytes
            try copy.put(Array(bytes[..<Header.byteCount]), at: 0)
            try copy.put(Array(bytes[tail...]), at: tail)
            try copy.truncate(to: bytes.count)
            do throws(ModelFileError) {
                // What is believed lies within the file, whatever names and licences say now.
                for block in try ModelFile(path: copy.path).segments.flatMap(\.blocks) {
                    #expect(block.fileOffset + block.storedByteCount <= tail)
                }
                accepted += 1
            } catch { refused += 1 }
        }
        #expect(accepted > 0 && refused > accepted)
    }

    @Test func everyFlippedBitOfASealedHeaderOrIndexIsRefused() throws {
        let header = Array(original.bytes[..<Header.byteCount])
        for bit in 0..<120 * 8 {
            var bytes = original.bytes
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            var sealed = Array(bytes[..<120])
            sealed.append(littleEndian: ContainerFormat.checksum(bytes[..<120]))
            bytes.replaceSubrange(..<header.count, with: sealed)
            try Data(bytes).write(to: URL(filePath: path))
            #expect(throws: ModelFileError.self, "bit \(bit)") { try ModelFile(path: path) }
        }
        for bit in 0..<original.index.count * BlockEntry.byteCount * 8 {
            var file = original
            var entry: [UInt8] = []
            let place = bit / 8 / BlockEntry.byteCount
            file.index[place].append(to: &entry)
            entry[bit / 8 % BlockEntry.byteCount] ^= 1 << UInt8(bit % 8)
            file.index[place] = BlockEntry(entry, at: 0)
            #expect(try file.fault(at: path) != nil, "bit \(bit)")
        }
    }

    @Test func everyNumberOfAManifestMayBeExtreme() throws {
        let text = String(decoding: json, as: UTF8.self)
        let numbers = text.matches(of: /[:\[,](-?[0-9][0-9.e+-]*)/)
        #expect(numbers.count > 40)
        for number in numbers {
            for value in ["-1", "0", "9223372036854775807", "18446744073709551616", "1e999", "\(1 << 50)"] {
                var changed = text
                changed.replaceSubrange(number.1.startIndex..<number.1.endIndex, with: value)
                _ = try fault(manifest: Array(changed.utf8))
            }
        }
    }

    @Test func emptyAndDeepManifestsAreRefused() throws {
        for text in ["", "{}", "null", "[]", String(repeating: "[", count: 100_000)] {
            #expect(try fault(manifest: Array(text.utf8)) != nil)
        }
    }

    @Test func shapesWhoseProductOverflowsAreRefused() throws {
        let sizes = [
            1, 1 << 16, ContainerFormat.maximumDimension, ContainerFormat.maximumDimension + 1, 1 << 31,
            1 << 32,
            (1 << 32) + 1, 1 << 40, 1 << 62, .max,
        ]
        let file = try ModelFile(path: path)
        var refused = 0
        for (rows, columns) in sizes.flatMap({ rows in sizes.map { (rows, $0) } }) {
            for format in [WeightFormat.f32, .f16, .q8(group: 128), .q4(group: 32)] {
                for kind in [TensorEntry.Kind.matrix, .vector] {
                    var tensor = TensorEntry(
                        name: "", kind: kind, rows: rows, columns: columns, format: format, codesOffset: 0,
                        scalesOffset: nil)
                    // Where a shape is possible, as many of it as a segment may have, in their places: their
                    // sum is the largest there is.
                    let isPossible =
                        kind == .matrix
                        ? max(rows, columns) <= ContainerFormat.maximumDimension : rows <= 1 << 32
                    let (codes, scales) =
                        isPossible ? (tensor.codesByteCount, tensor.scalesByteCount) : (0, 0)
                    var manifest = file.manifest
                    let start = manifest.segments[1].codesByteCount
                    manifest.segments[1].tensors = (0..<ContainerFormat.maximumTensorCount).map { index in
                        tensor.name = "\(index)"
                        tensor.codesOffset = index * ContainerFormat.aligned(codes, to: 64)
                        tensor.scalesOffset =
                            format.type.isQuantized
                            ? start + index * ContainerFormat.aligned(scales, to: 64) : nil
                        return tensor
                    }
                    do throws(ModelFileError) {
                        try manifest.validate(
                            file: path, blockIndexOffset: Int(file.header.blockIndexOffset),
                            blockCount: Int(file.header.blockCount))
                        Issue.record("\(kind) \(rows) x \(columns) \(format)")
                    } catch { refused += 1 }
                }
            }
        }
        #expect(refused == sizes.count * sizes.count * 8)
    }

    @Test func twoThatAreOneAndTwoInOnePlaceAreRefused() throws {
        let lies: [(inout Manifest) -> Void] = [
            // Segments: the same twice, the same place, a place within another.
            { $0.segments.append($0.segments[1]) },
            { $0.segments.insert($0.segments[0], at: 0) },
            { $0.segments[2].name = $0.segments[0].name },
            { $0.segments[1].fileOffset = $0.segments[0].fileOffset },
            { $0.segments[2].fileOffset = $0.segments[1].fileOffset + 4096 },
            { $0.segments[2].firstBlock = $0.segments[1].firstBlock },
            { $0.segments.swapAt(0, 1) },
            // Tensors: the same twice, the same name, the same plane, a plane within another.
            { $0.segments[1].tensors.append($0.segments[1].tensors[2]) },
            { $0.segments[1].tensors[1].name = $0.segments[1].tensors[0].name },
            { $0.segments[1].tensors[2].codesOffset = $0.segments[1].tensors[0].codesOffset },
            { $0.segments[1].tensors[1].codesOffset -= 64 },
            { $0.segments[1].tensors[0].scalesOffset = $0.segments[1].tensors[0].codesOffset },
        ]
        let file = try ModelFile(path: path)
        for (index, lie) in lies.enumerated() {
            var manifest = file.manifest
            lie(&manifest)
            let fault = try fault(manifest: ForgedFile.json(manifest))
            #expect(fault?.code == .damaged, "lie \(index)")
        }
        // In JSON, a key may also come twice; one of the two counts, and it is checked as any other.
        let text = String(decoding: json, as: UTF8.self)
        let twice = text.replacing(
            "\"codesOffset\":", with: "\"codesOffset\":1,\"codesOffset\":", maxReplacements: 1)
        #expect(twice != text)
        let other = text.replacing(
            "\"codesOffset\":0", with: "\"codesOffset\":0,\"codesOffset\":1", maxReplacements: 1)
        #expect(other != text)
        let faults = [try fault(manifest: Array(twice.utf8)), try fault(manifest: Array(other.utf8))]
        #expect(faults.contains { $0 != nil })
    }
}
