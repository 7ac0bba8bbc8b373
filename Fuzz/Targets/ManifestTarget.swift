//! Fuzzes the manifest of a model file by itself, behind the checksums and the compression.

import JSON
@testable import ModelFile

/// Input: the manifest's JSON. The rest of the file is taken to be as large as the manifest says, so that
/// every other contradiction comes to light.
struct ManifestTarget: FuzzTarget {
    func run(_ input: [UInt8]) -> Bool {
        guard let manifest = try? JSONValue(parsing: input).decoded(as: Manifest.self) else { return false }
        let (end, blockCount) = Self.extent(manifest)
        guard (try? manifest.validate(file: "fuzz", blockIndexOffset: end, blockCount: blockCount)) != nil
        else { return false }
        ConfigurationChecks.check(manifest.model.configuration)
        for segment in manifest.segments { Self.check(segment) }
        guard let json = try? JSONText().text(of: manifest),
            let again = try? JSONValue(parsing: Array(json.utf8)).decoded(as: Manifest.self)
        else { fatalError("an accepted manifest cannot be written and read") }
        expect(again == manifest, "a manifest changes when it is written and read")
        return true
    }

    /// Where the block index would begin and how many blocks it would have; zeros where that overflows.
    private static func extent(_ manifest: Manifest) -> (end: Int, blockCount: Int) {
        var end = Header.byteCount
        var blockCount = 0
        for segment in manifest.segments {
            let (sum, overflow) = segment.fileOffset.addingReportingOverflow(segment.storedByteCount)
            let limit = 1 << 50
            guard !overflow, (0...limit).contains(sum), (0...limit).contains(segment.codesByteCount),
                (0...limit).contains(segment.scalesByteCount)
            else { return (0, 0) }
            end = sum
            blockCount += ContainerFormat.blockCount(ofStream: segment.codesByteCount)
            blockCount += ContainerFormat.blockCount(ofStream: segment.scalesByteCount)
        }
        return (ContainerFormat.aligned(end, to: ContainerFormat.planeAlignment), blockCount)
    }

    private static func check(_ segment: SegmentEntry) {
        var codesEnd = 0
        var scalesEnd = segment.codesByteCount
        for tensor in segment.tensors {
            expect(tensor.codesOffset >= codesEnd, "planes of codes overlap")
            codesEnd = tensor.codesOffset + tensor.codesByteCount
            if let offset = tensor.scalesOffset {
                expect(offset >= scalesEnd, "planes of scales overlap")
                scalesEnd = offset + tensor.scalesByteCount
            }
            expect(
                codesEnd <= segment.codesByteCount && scalesEnd <= segment.imageByteCount,
                "a plane leaves its stream")
        }
    }
}
