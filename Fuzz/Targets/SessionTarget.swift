//! Fuzzes the reader of a saved session, behind its checksums.

import Glibc
@testable import SessionFiles

/// Input: a `SessionRecipe`.
struct SessionTarget: FuzzTarget {
    private let file: MemoryFile

    init() throws { file = try MemoryFile() }

    func run(_ input: [UInt8]) -> Bool {
        let recipe = SessionRecipe(input)
        file.replace(recipe.fileBytes)
        do throws(SessionFileError) {
            let reader = try SessionFileReader(path: file.path)
            expect(
                reader.head.encoded == Array(recipe.fileBytes.prefix(SessionHead.byteCount)),
                "an accepted head is written otherwise")
            try reader.verify()
            let conversation = try reader.conversation()
            expect(
                SavedConversation(conversation.encoded, messageCount: reader.head.messageCount)
                    == conversation, "an accepted conversation is written otherwise")
            checkPlaces(reader)
            expect(try reader.inputs().count >= reader.head.positionCount, "there are too few inputs")
            return true
        } catch {
            expect(error.file == file.path, "an error names another file")
            return false
        }
    }

    /// Images stand one behind the other, within the inputs.
    private func checkPlaces(_ reader: SessionFileReader) {
        var (end, pixels) = (0, 0)
        for index in 0..<reader.head.imageCount {
            let size = reader.size(of: index)
            pixels += size.width * size.height
            guard let place = reader.place(of: index) else { continue }
            expect(place.start >= end && place.rows * place.columns > 0, "images overlap")
            end = place.start + place.rows * place.columns
        }
        expect(end <= reader.head.inputCount, "an image stands behind the inputs")
        expect(pixels <= SessionLimits.maximumPixelCount, "there are more pixels than may be")
    }
}

/// A session's file without what cannot be guessed: the checksums, and the sizes that belong together.
///
///     flags               1   bit 0: the file is the rest as it is
///     pages               3   tokens of a page in 1...32, bytes of a page in 1...256, positions
///     inputs              1   how many there are beside the positions
///     images              1   how many in 0...3; then of each 5: bytes, width, height, and where it stands:
///                             inputs before it, and columns of its one row, 0 where it has no place
///     messages            1   how many in 0...3; then of each 2: its role, and the number of its items in
///                             0...3; then of each item 1: 0 for an image, else a text of as many bytes
///     conversation edits      see `ByteEdits`
///     index edits             the same, of the index
///     head edits              the same, applied before the head is sealed
///     seal edits              the same, applied to the whole file at the end
///     length              2   by how much the file is shorter, or, above 32,767, longer
///     bytes                   the rest, again and again as far as they go: texts, images, inputs, pages
struct SessionRecipe {
    let fileBytes: [UInt8]

    /// What is behind the sizes, from the rest of the input.
    private struct Filling {
        let pattern: [UInt8]
        var position = 0

        mutating func bytes(_ count: Int) -> [UInt8] {
            guard !pattern.isEmpty else { return [UInt8](repeating: 0x41, count: count) }
            defer { position += count }
            return (position..<position + count).map { pattern[$0 % pattern.count] }
        }
    }

    init(_ input: [UInt8]) {
        var reader = InputReader(input)
        guard reader.byte() & 1 == 0 else {
            fileBytes = reader.remainder()
            return
        }
        var head = SessionHead(
            form: 0, model: 7, savedAt: 1, pageTokens: 1 + Int(reader.byte() % 32), positionCount: 0,
            pageByteCount: 1 + Int(reader.byte()))
        head.positionCount = Int(reader.byte())
        head.inputCount = head.positionCount + Int(reader.byte())
        let images = Self.images(&reader)
        let messages = Self.messages(&reader)
        let edits = (0..<4).map { _ in ByteEdits(&reader, limit: 4) }
        let length = reader.uint16()
        var filling = Filling(pattern: reader.remainder())

        var conversation = SavedConversation(
            modelName: "m",
            messages: messages.map { role, items in
                SavedConversation.Message(
                    role,
                    items.map { count in
                        count == 0 ? .image : .text(String(decoding: filling.bytes(count), as: UTF8.self))
                    })
            }
        ).encoded
        edits[0].apply(to: &conversation)
        head.messageCount = messages.count
        head.conversationByteCount = conversation.count
        head.conversationChecksum = checksum(conversation[...])
        head.imageCount = images.count
        var (index, pngs): ([UInt8], [UInt8]) = ([], [])
        for image in images {
            let png = filling.bytes(image.pngByteCount)
            var entry = image
            entry.pngChecksum = checksum(png[...])
            index += entry.encoded
            pngs += png
            if image.place != nil { head.placedImageCount += 1 }
        }
        head.imagesByteCount = pngs.count
        let inputs = filling.bytes(4 * head.inputCount)
        head.inputsChecksum = checksum(inputs[...])
        var pages: [UInt8] = []
        for _ in 0..<head.pageCount {
            let page = filling.bytes(head.pageByteCount)
            for shift in 0..<8 { index.append(UInt8(truncatingIfNeeded: checksum(page[...]) >> (8 * shift))) }
            pages += page
        }
        edits[1].apply(to: &index)
        head.indexChecksum = checksum(index[...])
        var start = Array(head.encoded.dropLast(8))
        edits[2].apply(to: &start)
        let seal = checksum(start[...])
        for shift in 0..<8 { start.append(UInt8(truncatingIfNeeded: seal >> (8 * shift))) }
        var file = start + conversation + pngs + inputs + pages + index
        edits[3].apply(to: &file)
        if length <= Int(Int16.max) {
            file.removeLast(min(length, file.count))
        } else {
            file += [UInt8](repeating: 0, count: length - Int(Int16.max))
        }
        fileBytes = file
    }

    private static func images(_ reader: inout InputReader) -> [SavedImage] {
        var end = 0
        return (0..<Int(reader.byte() % 4)).map { _ in
            let (count, width, height) = (Int(reader.byte()), Int(reader.byte()), Int(reader.byte()))
            let (start, columns) = (end + Int(reader.byte()), Int(reader.byte()))
            end = start + columns
            return SavedImage(
                pngByteCount: count, pngChecksum: 0, width: width, height: height,
                place: columns > 0 ? ImagePlace(start: start, rows: 1, columns: columns) : nil)
        }
    }

    private static func messages(
        _ reader: inout InputReader
    ) -> [(role: SavedConversation.Role, items: [Int])] {
        (0..<Int(reader.byte() % 4)).map { _ in
            let role = SavedConversation.Role(rawValue: reader.byte() % 3) ?? .user
            return (role, (0..<Int(reader.byte() % 4)).map { _ in Int(reader.byte()) })
        }
    }
}
