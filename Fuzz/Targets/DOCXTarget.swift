//! Fuzzes the reading of DOCX: the archive, and the parts in it.

@testable import Documents

/// Input: one byte of choices, then the archive itself, or the parts of one with a zero byte between them:
/// the document, styles, numbering, footnotes, the document's relations.
struct DOCXTarget: FuzzTarget {
    private let limits = DocumentLimits(maxTextBytes: 1 << 16)

    func run(_ input: [UInt8]) -> Bool {
        var reader = InputReader(input)
        let isArchive = reader.byte() & 1 == 1
        let rest = reader.remainder()
        let archive = isArchive ? rest : Self.archive(of: rest)
        guard let extracted = try? DOCXDocument.text(of: archive, limits: limits) else { return false }
        let text = extracted.text
        expect(
            text.utf8.count <= limits.maxTextBytes, "\(text.utf8.count) bytes of text are beyond the limit")
        expect(text.unicodeScalars.contains { !isWhiteSpace($0.value) }, "an empty text was accepted")
        expect(extracted.notes.allSatisfy { !$0.contains("\n") }, "a note has more than a line")
        let again = try? DOCXDocument.text(of: archive, limits: limits)
        expect(again == extracted, "a document gives another text when it is read again")
        return true
    }

    /// An archive of parts, with all that points to them.
    private static func archive(of input: [UInt8]) -> [UInt8] {
        let parts = input.split(separator: 0, maxSplits: 4, omittingEmptySubsequences: false).map {
            Array($0)
        }
        let type = "http://schemas.openxmlformats.org/officeDocument/2006/relationships/"
        func relations(_ parts: [(String, String)]) -> [UInt8] {
            let list = parts.enumerated().map { number, part in
                "<Relationship Id='r\(number)' Type='\(type)\(part.0)' Target='\(part.1)'/>"
            }
            return Array("<Relationships>\(list.joined())</Relationships>".utf8)
        }
        let kinds = ["styles", "numbering", "footnotes"]
        var files = [
            ("_rels/.rels", relations([("officeDocument", "word/document.xml")])),
            ("word/document.xml", parts[0]),
        ]
        for (kind, content) in zip(kinds, parts.dropFirst()) { files.append(("word/\(kind).xml", content)) }
        let named = zip(kinds, parts.dropFirst()).map { ($0.0, "\($0.0).xml") }
        files.append(("word/_rels/document.xml.rels", parts.count == 5 ? parts[4] : relations(named)))
        return StoredArchive.bytes(of: files)
    }
}

/// ZIP archives of files as they are: what mutations break, and could not mend, is supplied.
enum StoredArchive {
    static func bytes(of files: [(name: String, content: [UInt8])]) -> [UInt8] {
        func little(_ value: Int, _ count: Int) -> [UInt8] {
            (0..<count).map { UInt8(truncatingIfNeeded: value >> (8 * $0)) }
        }
        var archive: [UInt8] = []
        var index: [UInt8] = []
        for file in files {
            let name = Array(file.name.utf8)
            let size = file.content.count
            // Version, flags, method, time, date; checksum, two sizes; lengths of the name and of what is
            // extra.
            let common =
                little(20, 2) + little(0, 8) + little(Int(checksum(file.content)), 4) + little(size, 4)
                + little(size, 4) + little(name.count, 2) + little(0, 2)
            index +=
                [0x50, 0x4B, 1, 2] + little(20, 2) + common + little(0, 10) + little(archive.count, 4) + name
            archive += [0x50, 0x4B, 3, 4] + common + name + file.content
        }
        let place = archive.count
        archive +=
            index + [0x50, 0x4B, 5, 6] + little(0, 4) + little(files.count, 2) + little(files.count, 2)
        return archive + little(index.count, 4) + little(place, 4) + little(0, 2)
    }

    /// CRC-32, bit by bit: files here are short.
    private static func checksum(_ bytes: [UInt8]) -> UInt32 {
        var value = UInt32.max
        for byte in bytes {
            value ^= UInt32(byte)
            for _ in 0..<8 { value = value & 1 == 1 ? value >> 1 ^ 0xEDB8_8320 : value >> 1 }
        }
        return ~value
    }
}
