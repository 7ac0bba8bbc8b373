//! Fuzzes a whole model file: header, block index, manifest and blocks, behind their checksums.

import FoundationEssentials
@testable import ModelFile

/// Input: a `ModelFileRecipe`. What cannot be guessed, the checksums and the places that follow from sizes,
/// is computed; what the recipe says besides is where the file differs from a right one.
struct ModelFileTarget: FuzzTarget {
    private let file: MemoryFile

    init() throws { file = try MemoryFile() }

    func run(_ input: [UInt8]) -> Bool {
        let recipe = ModelFileRecipe(input)
        file.replace(recipe.fileBytes)
        guard let model = try? ModelFile(path: file.path) else { return false }
        Self.check(model)
        guard let rawByteCount = try? model.verify() else { return true }
        let images = model.segments.map(\.entry.imageByteCount)
        expect(rawByteCount == images.reduce(0, +), "the blocks are not the images")
        for segment in model.segments
        where segment.entry.kind == .data && segment.entry.imageByteCount < 65_536 {
            let bytes = try? model.data(named: segment.entry.name)
            expect(bytes?.count == segment.entry.codesByteCount, "verified data cannot be read")
        }
        return true
    }

    /// What holds of every file that opens.
    private static func check(_ model: ModelFile) {
        ConfigurationChecks.check(model.configuration)
        var end = Header.byteCount
        for segment in model.segments {
            var imageEnd = 0
            for block in segment.blocks {
                expect(block.fileOffset >= end, "blocks overlap")
                expect(block.imageOffset == imageEnd, "blocks leave a hole in their image")
                end = block.fileOffset + block.storedByteCount
                imageEnd += block.rawByteCount
            }
            expect(imageEnd == segment.entry.imageByteCount, "the blocks do not fill the image")
        }
        expect(end <= model.byteCount, "blocks lie beyond the file")
    }
}

/// A model file without its padding, checksums and places.
///
///     flags         1         bit 0: the manifest is stored as given, not wrapped in a frame
///     header edits            see `ByteEdits`, applied before the header is sealed
///     seal edits              the same, applied to the whole file at the end
///     segments      1         their count, then of each: 2 bytes of length, the stored bytes
///     blocks        1         their count, then of each: 4 bytes of stored size, 4 of raw size
///     manifest                the rest
struct ModelFileRecipe {
    var keepsManifest = false
    var headerEdits: ByteEdits
    var sealEdits: ByteEdits
    var segments: [[UInt8]] = []
    var blocks: [(stored: UInt32, raw: UInt32)] = []
    var manifest: [UInt8]

    init(_ input: [UInt8]) {
        var reader = InputReader(input)
        keepsManifest = reader.byte() & 1 == 1
        headerEdits = ByteEdits(&reader, limit: 8)
        sealEdits = ByteEdits(&reader, limit: 4)
        for _ in 0..<reader.byte() % 8 {
            let count = reader.uint16()
            segments.append(Array(reader.bytes(count)))
        }
        for _ in 0..<reader.byte() % 64 { blocks.append((reader.uint32(), reader.uint32())) }
        manifest = reader.remainder()
    }

    /// The recipe of a file that nothing is wrong with.
    init(segments: [[UInt8]], blocks: [(stored: UInt32, raw: UInt32)], manifest: [UInt8]) {
        var none = InputReader([])
        headerEdits = ByteEdits(&none, limit: 0)
        sealEdits = ByteEdits(&none, limit: 0)
        (self.segments, self.blocks, self.manifest) = (segments, blocks, manifest)
    }

    /// The input that gives this recipe, without edits.
    var encoded: [UInt8] {
        var bytes: [UInt8] = [keepsManifest ? 1 : 0, 0, 0, UInt8(segments.count)]
        for segment in segments {
            bytes.append(littleEndian: UInt16(segment.count))
            bytes += segment
        }
        bytes.append(UInt8(blocks.count))
        for block in blocks {
            bytes.append(littleEndian: block.stored)
            bytes.append(littleEndian: block.raw)
        }
        return bytes + manifest
    }

    /// The file.
    var fileBytes: [UInt8] {
        var file = [UInt8](repeating: 0, count: Header.byteCount)
        var places: [Range<Int>] = []
        for segment in segments {
            file.pad(to: ContainerFormat.segmentAlignment)
            places.append(file.count..<file.count + segment.count)
            file += segment
        }
        file.pad(to: ContainerFormat.planeAlignment)
        var header = Header()
        header.blockIndexOffset = UInt64(file.count)
        header.blockCount = UInt64(blocks.count)
        let index = index(file, places)
        header.blockIndexChecksum = ContainerFormat.checksum(index[...])
        file += index
        let stored = keepsManifest ? manifest : Self.frame(manifest)
        header.manifestOffset = UInt64(file.count)
        header.manifestStoredByteCount = UInt64(stored.count)
        header.manifestByteCount = UInt64(manifest.count)
        header.manifestChecksum = ContainerFormat.checksum(stored[...])
        file += stored
        header.fileByteCount = UInt64(file.count)
        file.replaceSubrange(..<Header.byteCount, with: sealed(header))
        sealEdits.apply(to: &file)
        return file
    }

    /// The block index, each block with the checksum of the bytes that lie where it would be read from.
    private func index(_ file: [UInt8], _ places: [Range<Int>]) -> [UInt8] {
        var index: [UInt8] = []
        var rest = places[...]
        for block in blocks {
            while let first = rest.first, first.isEmpty { rest = rest.dropFirst() }
            let place = rest.first ?? 0..<0
            let end = min(place.upperBound, place.lowerBound + Int(block.stored))
            BlockEntry(
                storedByteCount: block.stored, rawByteCount: block.raw,
                checksum: ContainerFormat.checksum(file[place.lowerBound..<end])
            ).append(to: &index)
            if !rest.isEmpty { rest[rest.startIndex] = end..<place.upperBound }
        }
        return index
    }

    private func sealed(_ header: Header) -> [UInt8] {
        var bytes = header.encoded
        headerEdits.apply(to: &bytes)
        let checked = bytes.prefix(Header.byteCount - 8)
        bytes.replaceSubrange(checked.endIndex..., with: [])
        bytes.append(littleEndian: ContainerFormat.checksum(checked))
        return bytes
    }

    /// `content` as one raw block in a zstd frame (RFC 8878, section 3.1.1) that declares its size.
    private static func frame(_ content: [UInt8]) -> [UInt8] {
        var frame: [UInt8] = [0x28, 0xB5, 0x2F, 0xFD, 0xA0]
        frame.append(littleEndian: UInt32(content.count))
        let block = UInt32(content.count) << 3 | 1
        for shift in [UInt32(0), 8, 16] { frame.append(UInt8(truncatingIfNeeded: block >> shift)) }
        return frame + content
    }
}

extension [UInt8] {
    fileprivate mutating func pad(to alignment: Int) {
        self += [UInt8](repeating: 0, count: ContainerFormat.aligned(count, to: alignment) - count)
    }
}
