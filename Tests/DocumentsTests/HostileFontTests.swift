//! Fonts that are missing, no files, cut short or damaged: refused or drawn, and never waited for.

import Foundation
import Glibc
import TestSupport
import Testing

@testable import Documents

@Suite struct HostileFontTests {
    private let folder: TemporaryDirectory
    private let dejaVu: [UInt8]

    init() throws {
        folder = try TemporaryDirectory()
        dejaVu = Array(try Data(contentsOf: URL(filePath: try FontFile.locate("DejaVuSans.ttf"))))
    }

    private func document(_ path: String, _ placement: GlyphPlacement = .subpixel) throws -> TextDocument {
        var settings = PageSettings()
        settings.fontPath = path
        settings.glyphPlacement = placement
        return try TextDocument(text: "Hamburgefonstiv fi Ää 123 % ﷺ 中\nij", settings: settings)
    }

    @Test func whatIsNoFontFileIsRefused() throws {
        let pipe = folder.path("pipe.ttf")
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        let loop = folder.path("loop.ttf")
        try FileManager.default.createSymbolicLink(atPath: loop, withDestinationPath: loop)
        let paths = [
            "", "/", folder.url.path, pipe, loop, folder.path("missing.ttf"), "/dev/zero", "/dev/null",
            "a\0b",
            try folder.write([], to: "empty.ttf"), try folder.write([0], to: "byte.ttf"),
            try folder.write(Array("This is text.".utf8), to: "text.ttf"),
            String(repeating: "x", count: 5_000),
        ]
        for path in paths {
            let error = #expect(throws: DocumentError.self, "\(path.prefix(80))") { try document(path) }
            #expect(error?.kind == .font)
            var settings = PageSettings()
            settings.fontFallback = [path]
            #expect(throws: DocumentError.self) { try TextDocument(text: "x", settings: settings) }
        }
    }

    @Test func aFontBeyondTheLimitIsRefusedUnread() throws {
        let path = try folder.write([], to: "huge.ttf")
        #expect(unsafe truncate(path, 1 << 40) == 0)
        let error = #expect(throws: DocumentError.self) { try document(path) }
        #expect(error?.message.contains("134217728") == true)
    }

    @Test func anIndexBeyondTheFacesIsRefused() {
        var settings = PageSettings()
        settings.fontIndex = 7
        let error = #expect(throws: DocumentError.self) { try TextDocument(text: "x", settings: settings) }
        #expect(error?.kind == .font)
    }

    @Test func aFontCutShortIsRefusedOrDrawn() throws {
        for share in 0..<64 {
            let path = try folder.write(dejaVu.prefix(dejaVu.count * share / 64), to: "cut.ttf")
            do { _ = try document(path).page(0) } catch let error as DocumentError {
                #expect(error.kind == .font)
            }
        }
    }

    /// The table directory and the head of each table are where damage does most.
    @Test func aDamagedFontIsRefusedOrDrawn() throws {
        var generator = SeededGenerator(seed: 4)
        let tableCount = Int(dejaVu[4]) << 8 | Int(dejaVu[5])
        let heads = (0..<tableCount).map { table in
            dejaVu[12 + 16 * table + 8..<12 + 16 * table + 12].reduce(0) { $0 << 8 | Int($1) }
        }
        #expect(heads.count > 10 && heads.allSatisfy { $0 < dejaVu.count })
        var drawn = 0
        let count = caseCount(600)
        for round in 0..<count {
            var damaged = dejaVu
            for _ in 0..<generator.integer(in: 1...8) {
                let position =
                    switch round % 3 {
                    case 0: generator.integer(below: 12 + 16 * tableCount)
                    case 1: generator.element(of: heads) + generator.integer(below: 64)
                    default: generator.integer(below: damaged.count)
                    }
                damaged[min(position, damaged.count - 1)] = UInt8(generator.integer(below: 256))
            }
            let path = try folder.write(damaged, to: "damaged.ttf")
            do {
                _ = try document(path, round % 2 == 0 ? .subpixel : .pixel).page(0)
                drawn += 1
            } catch let error as DocumentError {
                #expect(error.kind == .font || error.kind == .tooLarge, "\(error)")
            }
        }
        #expect(drawn > count / 3 && drawn < count)
    }

    /// One unit to the em makes every glyph and advance two thousand times as large.
    @Test func aFontOfGiantGlyphsTakesNoGiantMemory() async throws {
        await #expect(processExitsWith: .success) {
            let folder = try TemporaryDirectory()
            var font = Array(try Data(contentsOf: URL(filePath: try FontFile.locate("DejaVuSans.ttf"))))
            let tableCount = Int(font[5])
            let entry = try #require(
                (0..<tableCount).map { 12 + 16 * $0 }.first { font[$0..<$0 + 4].elementsEqual("head".utf8) })
            let head = font[entry + 8..<entry + 12].reduce(0) { $0 << 8 | Int($1) }
            font.replaceSubrange(head + 18..<head + 20, with: [0, 16])
            var settings = PageSettings()
            settings.fontPath = try folder.write(font, to: "giant.ttf")
            settings.fontSize = 400
            settings.lineHeight = 300
            settings.dpi = 300
            try withMemoryGrowingAtMost(256 << 20) {
                do { _ = try TextDocument(text: "Wg\u{F0000}", settings: settings).page(0) } catch {
                    try #require(error is DocumentError)
                }
            }
        }
    }
}

@Suite struct HostileFileTests {
    /// A pipe without a writer would be waited for.
    @Test func aDocumentThatIsNoFileIsRefusedAtOnce() throws {
        let folder = try TemporaryDirectory()
        let pipe = folder.path("pipe.txt")
        #expect(unsafe mkfifo(pipe, 0o600) == 0)
        let link = folder.path("link.txt")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: pipe)
        for path in ["", pipe, link, "/dev/zero", "/dev/tty", "a\0b", folder.url.path] {
            let error = #expect(throws: DocumentError.self) { try DocumentSource.load(path: path) }
            #expect(error?.kind == .unreadable)
        }
    }

    @Test func aFileBeyondTheLimitIsRefusedUnread() throws {
        let folder = try TemporaryDirectory()
        let path = try folder.write([], to: "huge.txt")
        #expect(unsafe truncate(path, 1 << 40) == 0)
        let error = #expect(throws: DocumentError.self) { try DocumentSource.load(path: path) }
        #expect(error?.kind == .tooLarge)
    }

    @Test func aLinkToAFileIsRead() throws {
        let folder = try TemporaryDirectory()
        let path = try folder.write(Array("héllo".utf8), to: "text.txt")
        let link = folder.path("link.txt")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: path)
        #expect(try DocumentSource.load(path: link) == .text("héllo"))
    }
}
