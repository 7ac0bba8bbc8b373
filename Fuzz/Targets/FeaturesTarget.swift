//! Fuzzes the reader of an entry of features, behind its checksums.

@testable import FeatureFiles
import Glibc
import ModelFile

/// Input: an `EntryRecipe`.
struct FeaturesTarget: FuzzTarget {
    private let file: MemoryFile

    init() throws { file = try MemoryFile() }

    func run(_ input: [UInt8]) -> Bool {
        let recipe = EntryRecipe(input)
        let bytes = recipe.fileBytes
        file.replace(bytes)
        guard let descriptor = Descriptor(unsafe open(file.path, O_RDONLY | O_CLOEXEC)) else {
            fatalError("the memory file cannot be opened")
        }
        let shape = recipe.asked
        var features: [UInt8] = []
        let isRead = unsafe descriptor.readEntry(recipe.image, shape, fileByteCount: bytes.count) {
            rows, fill in
            var run = [UInt8](repeating: 0, count: rows.count * shape.rowByteCount)
            unsafe run.withUnsafeMutableBytes { unsafe fill($0) }
            features += run
        }
        expect(features.count <= shape.byteCount, "more is lent than there are features")
        guard isRead else { return false }
        expect(features.count == shape.byteCount, "an accepted entry is read in part")
        file.replace([])
        guard let writable = Descriptor(unsafe open(file.path, O_RDWR | O_CLOEXEC)) else {
            fatalError("the memory file cannot be opened")
        }
        let isWritten = unsafe writable.writeEntry(recipe.image, shape) { rows, take in
            let range = rows.lowerBound * shape.rowByteCount..<rows.upperBound * shape.rowByteCount
            unsafe features[range].withUnsafeBytes { unsafe take($0) }
        }
        let written = writable.bytes(at: 0, count: bytes.count)
        expect(isWritten && written == bytes, "an accepted entry is written otherwise")
        return true
    }
}

/// An entry's file without what cannot be guessed: the checksums, and the sizes that belong together.
///
///     flags         1         bit 0: the file is the rest as it is; bit 1: another shape is asked for
///     shape         3         height and width in 1...16, columns in 1...256
///     asked shape   3         the same, where it is another
///     head edits              see `ByteEdits`, applied before the head is sealed
///     seal edits              the same, applied to the whole file at the end
///     length        2         by how much the file is shorter, or, above 32,767, longer
///     features                the rest, again and again as far as they go
struct EntryRecipe {
    let image = UInt128(0x0123_4567_89AB_CDEF) << 64 | 0xFEDC_BA98_7654_3210
    /// The shape that is asked for.
    let asked: FeatureShape
    let fileBytes: [UInt8]

    init(_ input: [UInt8]) {
        var reader = InputReader(input)
        let flags = reader.byte()
        func shape() -> FeatureShape {
            FeatureShape(
                height: 1 + Int(reader.byte() % 16), width: 1 + Int(reader.byte() % 16),
                columns: 1 + Int(reader.byte()))
        }
        let made = shape()
        asked = flags & 2 == 0 ? made : shape()
        if flags & 1 == 1 {
            fileBytes = reader.remainder()
            return
        }
        let headEdits = ByteEdits(&reader, limit: 8)
        let sealEdits = ByteEdits(&reader, limit: 4)
        let length = reader.uint16()
        let pattern = reader.remainder()
        var features = [UInt8](repeating: 0, count: made.byteCount)
        if !pattern.isEmpty {
            for index in features.indices { features[index] = pattern[index % pattern.count] }
        }
        var checksum = EntryChecksum()
        for rows in made.runs {
            let range = rows.lowerBound * made.rowByteCount..<rows.upperBound * made.rowByteCount
            unsafe features[range].withUnsafeBytes { unsafe checksum.add($0) }
        }
        var head = EntryHead(image: image, shape: made, checksum: checksum.value).encoded
        headEdits.apply(to: &head)
        head.removeLast(8)
        head.append(littleEndian: EntryChecksum.of(head[...]))
        var file = head + features
        sealEdits.apply(to: &file)
        if length <= Int(Int16.max) {
            file.removeLast(min(length, file.count))
        } else {
            file += [UInt8](repeating: 0, count: length - Int(Int16.max))
        }
        fileBytes = file
    }
}
