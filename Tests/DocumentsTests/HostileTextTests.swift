//! Texts and settings that are made to exhaust memory, to take for ever, or to trip the layout.

import Foundation
import TestSupport
import Testing

@testable import Documents

/// Texts at the limits of their size, each in a process of its own: refused or laid out within 512 MiB.
@Suite(
    .serialized, .enabled(if: !isThreadSanitized, "one thread in shadowed memory: neither is to be seen"))
struct LargeTextTests {
    @Test(arguments: [
        "&", "a ", "a", "\n\n", "x\n", "\u{4E2D}\n", "\u{4E2D}&", "\u{4E2D}", " ", "\u{200D}", "e\u{301}",
    ])
    func aTextOfTheGreatestLengthKeepsToTheStatedMemory(_ unit: String) async throws {
        await #expect(processExitsWith: .success) { [unit = unit as String] in
            let count = DocumentLimits().maxTextBytes / unit.utf8.count - 4
            let text = "x" + String(repeating: unit, count: count)
            try withMemoryGrowingAtMost(512 << 20) {
                do { _ = try TextDocument(text: text).page(0) } catch {
                    try #require((error as? DocumentError)?.kind == .tooLarge)
                }
            }
        }
    }

    /// Each page breaks the rest of such a paragraph anew.
    @Test(arguments: [4_000_000, 15_000_000])
    func spacesAfterAChineseCharacterKeepToTheStatedMemory(_ count: Int) async throws {
        await #expect(processExitsWith: .success) { [count = count as Int] in
            let text = "\u{4E2D}" + String(repeating: " ", count: count)
            try withMemoryGrowingAtMost(512 << 20) {
                let error = #expect(throws: DocumentError.self) { try TextDocument(text: text) }
                try #require(error?.kind == .tooLarge)
            }
        }
    }
}

@Suite struct HostileTextTests {
    private func lines(_ document: TextDocument) -> [String] {
        (0..<document.pageCount).flatMap { document.lines(ofPage: $0).map(\.text) }
    }

    @Test func aMillionLinesAreRefusedByTheirPages() {
        let text = (0..<1_000_000).map { "line \($0)\n" }.joined()
        let error = #expect(throws: DocumentError.self) { try TextDocument(text: text) }
        #expect(error?.kind == .tooLarge)
        #expect(error?.message.contains("500 pages") == true)
    }

    @Test func aMillionLinesFitWhereThePagesDo() throws {
        var settings = PageSettings()
        settings.pageSize = (14_400, 14_400)
        settings.fontSize = 4
        settings.lineHeight = 4
        settings.dpi = 18
        let text = (0..<1_000_000).map { "\($0)\n" }.joined()
        let document = try TextDocument(text: text, settings: settings)
        #expect(document.pageCount == 279)
        #expect(document.lines(ofPage: 278).last?.text == "999999")
    }

    @Test func aWordOfTenMegabytesIsRefusedOrWhole() throws {
        let word = String(repeating: "wordwithoutend", count: 10_000_000 / 14)
        let error = #expect(throws: DocumentError.self) { try TextDocument(text: word) }
        #expect(error?.kind == .tooLarge)
        let document = try TextDocument(text: word, limits: DocumentLimits(maxPages: 2_000))
        #expect(lines(document).joined() == word)
    }

    @Test(arguments: [
        "مرحبا بالعالم، هذا نص طويل بعض الشيء. ", "שלום עולם, זהו טקסט ארוך למדי. ",
        "สวัสดีชาวโลกนี่คือข้อความที่ยาวพอสมควร ",
        "नमस्ते दुनिया, यह थोड़ा लंबा पाठ है। ", "👩‍👩‍👧‍👦 🏴󠁧󠁢󠁳󠁣󠁴󠁿 👍🏽 ", "\u{202E}right to left by force\u{202C} ",
        "e\u{301}\u{327} o\u{308} ",
        "中文\u{202E}和 Arabic مرحبا mixed ", "\u{FDFA}\u{FDFD} ", "ﬀ ﬁ ﬂ \u{1F1E9}\u{1F1EA} ",
    ])
    func everyScriptIsLaidOutWhole(_ phrase: String) throws {
        let text = String(repeating: phrase, count: 40)
        for alignment in Alignment.allCases {
            var settings = PageSettings()
            settings.alignment = alignment
            let document = try TextDocument(text: text, settings: settings)
            let drawn = lines(document).joined().unicodeScalars.filter { !$0.properties.isWhitespace }
            #expect(Array(drawn) == text.unicodeScalars.filter { !$0.properties.isWhitespace })
            #expect(try document.page(0).width > 0)
        }
    }

    @Test func aThousandMarksOnOneLetterStayTogether() throws {
        let marked = "a" + String(repeating: "\u{301}", count: 1_000)
        for text in [marked, "\u{301}" + marked, "中" + marked, marked + "\u{200D}" + marked] {
            let document = try TextDocument(text: text)
            #expect(lines(document).joined().unicodeScalars.elementsEqual(text.unicodeScalars))
            _ = try document.page(0)
        }
    }

    @Test func everyControlCharacterIsLaidOut() throws {
        for value in UInt32(0)..<0x100 {
            for text in ["a\(Unicode.Scalar(value)!)b", "中\(Unicode.Scalar(value)!)文"] {
                _ = try TextDocument(text: text).page(0)
            }
        }
        let source = try DocumentSource.load(bytes: [0x61, 0, 0, 0x62, 0, 0x0A, 0], name: "in")
        #expect(source == .text("a\0\0b\0\n\0"))
    }

    @Test func randomBytesAreTextOrRefused() throws {
        var generator = SeededGenerator(seed: 31)
        var drawn = 0
        for round in 0..<caseCount(4_000) {
            var bytes = (0..<generator.integer(in: 1...60)).map { _ in UInt8(generator.integer(below: 256)) }
            // Half of them well-formed but odd, so that the layout is reached.
            if round % 2 == 0 { bytes = Array(String(decoding: bytes, as: UTF8.self).utf8) }
            guard let source = try? DocumentSource.load(bytes: bytes, name: "in"),
                case .text(let text) = source,
                let document = try? TextDocument(text: text)
            else { continue }
            _ = try document.page(0)
            drawn += 1
        }
        #expect(drawn > caseCount(1_500))
    }

    @Test func onlyTheFirstByteOrderMarkIsDropped() throws {
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        #expect(try DocumentSource.load(bytes: mark + mark + [0x61], name: "in") == .text("\u{FEFF}a"))
        let error = #expect(throws: DocumentError.self) { try DocumentSource.load(bytes: mark, name: "in") }
        #expect(error?.kind == .empty)
        for start: [UInt8] in [[0xFF, 0xFE, 0x61, 0], [0xFE, 0xFF, 0, 0x61]] {
            let error = #expect(throws: DocumentError.self) {
                try DocumentSource.load(bytes: start, name: "in")
            }
            #expect(error?.kind == .unsupported)
        }
    }

    /// A page limit that no count of lines can be multiplied by.
    @Test func limitsBeyondReasonDoNotOverflow() throws {
        let limits = DocumentLimits(maxTextBytes: .max, maxPages: .max)
        #expect(try TextDocument(text: "中 a\nb", limits: limits).pageCount == 1)
        #expect(throws: DocumentError.self) {
            try TextDocument(text: "x", limits: DocumentLimits(maxTextBytes: 0))
        }
        #expect(throws: DocumentError.self) {
            try TextDocument(text: String(repeating: "x\n", count: 99), limits: DocumentLimits(maxPages: -5))
        }
    }

    /// Markup between lines multiplies a text of newlines, and invisible markup would never fill a page.
    @Test func markupCannotMultiplyATextBeyondItsLimit() {
        var settings = PageSettings()
        settings.newlineMarkup = String(repeating: "\u{200D}", count: 85)
        let error = #expect(throws: DocumentError.self) {
            try TextDocument(
                text: "x" + String(repeating: "\n", count: 50_000), settings: settings,
                limits: DocumentLimits(maxTextBytes: 1 << 20))
        }
        #expect(error?.kind == .tooLarge)
        #expect(error?.message.contains("newline-markup") == true)
    }
}

@Suite struct HostileSettingsTests {
    private let numbers: [WritableKeyPath<PageSettings, Double>] = [
        \.pageWidth, \.pageHeight, \.dpi, \.marginX, \.marginY, \.fontSize, \.lineHeight, \.horizontalScale,
        \.firstLineIndent, \.leftIndent, \.rightIndent, \.spaceBefore, \.spaceAfter, \.borderWidth,
        \.borderPadding,
    ]
    private let values: [Double] = [
        .nan, .signalingNaN, .infinity, -.infinity, .greatestFiniteMagnitude, .leastNonzeroMagnitude, -1, 0,
        0.1, 0.5, 1, 3, 17, 36, 100, 399.9, 400, 1_200, 5_000, 14_400, 1e6, 1e18, -5_000,
    ]

    /// The last page of a text, or nil where the settings ask for more pixels than a test should draw.
    private func lastPage(_ text: String, _ settings: PageSettings) throws(DocumentError) -> RGBImage? {
        let document = try TextDocument(text: text, settings: settings)
        let pixels = settings.pagePixels
        guard pixels.width * pixels.height <= 2_000_000 else { return nil }
        return try document.page(document.pageCount - 1)
    }

    /// Refused, or drawn: whatever combination passes the checks has pages that can be drawn.
    @Test func everyCombinationIsRefusedOrDrawn() throws {
        var generator = SeededGenerator(seed: 8)
        let word = String(repeating: "longword", count: 20)
        let texts = ["The quick brown fox 汉字 \(word)\n\nover the lazy dog & more", "plain words only"]
        var drawn = 0
        var refused = 0
        for round in 0..<caseCount(6_000) {
            var settings = PageSettings()
            settings.alignment = generator.element(of: Alignment.allCases)
            settings.glyphPlacement = generator.element(of: [.subpixel, .pixel])
            // One bad value alone, then several together.
            for _ in 0..<(round < caseCount(1_000) ? 1 : generator.integer(in: 1...4)) {
                settings[keyPath: generator.element(of: numbers)] = generator.element(of: values)
            }
            let page = Result { () throws(DocumentError) in try lastPage(texts[round % 2], settings) }
            switch page {
            case .success(let image):
                drawn += image == nil ? 0 : 1
            case .failure(let error):
                #expect(error.kind == .settings || error.kind == .tooLarge, "\(error)")
                refused += 1
            }
        }
        #expect(drawn > caseCount(500) && refused > caseCount(500))
    }

    @Test func settingsBeyondTheirSizeAreRefusedUnread() {
        let json =
            Array(#"{"dpi": 72,"#.utf8) + Array(repeating: 0x20, count: 1 << 20)
            + Array(#""margin-x": 1}"#.utf8)
        let error = #expect(throws: DocumentError.self) { try PageSettings(json: json) }
        #expect(error?.message.contains("the limit is 1048576") == true)
    }

    @Test(arguments: [
        #"{"page-size": "0,0"}"#, #"{"page-size": "-595,842"}"#, #"{"page-size": "1e9,1e9"}"#,
        #"{"page-size": "595,842,1"}"#, #"{"page-size": ","}"#, #"{"font-size": 0}"#, #"{"font-size": -9}"#,
        #"{"font-size": 1e300}"#, #"{"font-size": 401}"#, #"{"line-height": 0}"#, #"{"font-index": -1}"#,
        #"{"font-index": 99999999999999999999}"#, #"{"font-index": 1.5}"#, #"{"dpi": 0}"#,
        #"{"horizontal-scale": 0}"#,
        #"{"font-fallback": ["1","2","3","4","5","6","7","8","9","0","a","b","c","d","e","f"]}"#,
        #"{"font-path": 5}"#, ##"{"font-color": "#GGGGGG"}"##, "null", "1", "\"\"", "",
    ])
    func aSettingOutOfRangeIsRefused(_ json: String) {
        let error = #expect(throws: DocumentError.self) { try PageSettings(json: Array(json.utf8)) }
        #expect(error?.kind == .settings)
    }

    @Test func settingsOfManyLevelsAreRefused() {
        for (open, close) in [("[", "]"), (#"{"dpi":"#, "}")] {
            let json = String(repeating: open, count: 100_000) + String(repeating: close, count: 100_000)
            #expect(throws: DocumentError.self) { try PageSettings(json: Array(json.utf8)) }
        }
    }
}
