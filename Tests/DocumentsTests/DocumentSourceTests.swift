//! What files and streams are taken for, and the limits of texts.

import Foundation
import TestSupport
import Testing

@testable import Documents

@Suite struct DocumentSourceTests {
    @Test func textIsKnownByItsContentAndLosesItsByteOrderMark() throws {
        #expect(
            try DocumentSource.load(bytes: [0xEF, 0xBB, 0xBF] + Array("hé".utf8), name: "x.png")
                == .text("hé"))
    }

    @Test func anImageIsKnownByItsContent() throws {
        let image = RGBImage(width: 2, height: 1, pixels: [1, 2, 3, 4, 5, 6])
        #expect(try DocumentSource.load(bytes: image.encodedPNG(), name: "x.txt") == .image(image))
    }

    @Test(
        arguments: [
            ([0x61, 0x62, 0xFF], 2), ([0x61, 0xC3], 1), ([0xE2, 0x82], 0), ([0xC0, 0x80], 0),
            ([0xED, 0xA0, 0x80], 0),
            ([0xEF, 0xBB, 0xBF, 0x61, 0x80], 4),
        ] as [([UInt8], Int)])
    func textThatIsNotUTF8IsRefusedByOffset(_ bytes: [UInt8], _ offset: Int) {
        let error = #expect(throws: DocumentError.self) { try DocumentSource.load(bytes: bytes, name: "in") }
        #expect(error?.kind == .malformed)
        #expect(error?.message.contains("offset \(offset) ") == true, "\(error?.message ?? "")")
    }

    @Test(
        arguments: [
            (Array("GIF89a".utf8), "a GIF image"), (Array("{\\rtf1".utf8), "an RTF file"),
            ([0xD0, 0xCF, 0x11, 0xE0, 0xA1, 0xB1, 0x1A, 0xE1], "an older Office file"),
            ([0x50, 0x4B, 0x05, 0x06], "an empty ZIP archive"),
        ] as [([UInt8], String)])
    func otherFormatsAreNamed(_ bytes: [UInt8], _ name: String) {
        let error = #expect(throws: DocumentError.self) {
            try DocumentSource.load(bytes: bytes, name: "a.pdf")
        }
        #expect(error?.kind == .unsupported)
        #expect(error?.message.contains(name) == true)
    }

    @Test func aPDFIsKnownByItsContent() throws {
        let plain = Array("%PDF-1.7".utf8)
        #expect(try DocumentSource.load(bytes: plain, name: "a.txt") == .pdf(plain))
        let late = [0, 1] + Array(repeating: 0x20, count: 500) + plain + [0x0A]
        #expect(try DocumentSource.load(bytes: late, name: "a.txt") == .pdf(late))
        let prose = "A PDF begins with %PDF-1.7, and this is none."
        #expect(try DocumentSource.load(bytes: Array(prose.utf8), name: "a.pdf") == .text(prose))
    }

    @Test func markdownIsTextWhoseNameSaysSo() throws {
        let folder = try TemporaryDirectory()
        let path = try folder.write("# One\n\n*two*".utf8, to: "a.MD")
        #expect(try DocumentSource.load(path: path) == .extracted(ExtractedText(text: "One\n\ntwo")))
        let plain = try folder.write("# One\n\n*two*".utf8, to: "a.txt")
        #expect(try DocumentSource.load(path: plain) == .text("# One\n\n*two*"))
    }

    @Test func whatIsNotAFileIsUnreadable() {
        for path in ["/nowhere", "/tmp", "/dev/zero"] {
            let error = #expect(throws: DocumentError.self) { try DocumentSource.load(path: path) }
            #expect(error?.kind == .unreadable)
        }
    }

    @Test(arguments: ["", " ", "\n\n\t\r\n", "\u{200B}\u{AD}"])
    func aTextWithoutVisibleCharactersIsEmpty(_ text: String) {
        let error = #expect(throws: DocumentError.self) { try TextDocument(text: text) }
        #expect(error?.kind == .empty)
    }

    @Test func carriageReturnsAreNewlines() throws {
        let document = try TextDocument(text: "a\r\nb\rc\nd")
        #expect(document.lines(ofPage: 0).map(\.text) == ["a", "b", "c", "d"])
    }

    @Test func aTextBeyondThePageLimitIsRefused() {
        let error = #expect(throws: DocumentError.self) {
            try TextDocument(text: String(repeating: "a\n", count: 400), limits: DocumentLimits(maxPages: 2))
        }
        #expect(error?.kind == .tooLarge)
        #expect(error?.message.contains("2 pages") == true)
    }

    @Test func missingGlyphsAreCountedAndDrawn() throws {
        let document = try TextDocument(text: "a\u{F0000}b\u{F0001}")
        #expect(document.missingGlyphCount == 2)
        let bare = try TextDocument(text: "a b ").page(0)
        #expect(try document.page(0).width > bare.width)
    }

    @Test func invisibleCharactersAreNotMissed() throws {
        let text = "a\u{2060}b\u{FE0F}c\u{200D}d\u{E0061}"
        #expect(try TextDocument(text: text).missingGlyphCount == 0)
    }

    @Test func spacesCountTowardsThePageLimit() {
        let text = "\u{4E2D}" + String(repeating: " ", count: 150_000)
        #expect(throws: DocumentError.self) {
            try TextDocument(text: text, limits: DocumentLimits(maxPages: 5))
        }
    }

    @Test func aFallbackFontFillsTheGaps() throws {
        var settings = PageSettings()
        settings.fontFallback = ["NotoSansCJK-Regular.ttc"]
        guard (try? FontFile.locate(settings.fontFallback[0])) != nil else {
            try Test.cancel("NotoSansCJK-Regular.ttc is not installed (Debian package fonts-noto-cjk)")
        }
        #expect(try TextDocument(text: "汉字").missingGlyphCount == 2)
        #expect(try TextDocument(text: "汉字", settings: settings).missingGlyphCount == 0)
    }
}
