//! The pieces that documents are read by: words and places, pictures, numbers of lists, names of parts.

import HostSystem
import Testing

@testable import Documents

@Suite struct PDFWordTests {
    private func words(_ lines: String) -> [PDFPageWords] { PDFPageWords.parse(Array(lines.utf8)) }

    private func line(_ words: (String, Double, Double)..., top: Double = 10) -> [PDFWord] {
        words.map { PDFWord(text: $0.0, left: $0.1, top: top, right: $0.2, bottom: top + 10) }
    }

    @Test func linesOfTheListAreWordsWithTheirPlaces() {
        let pages = words(
            """
            <title>a
              <page width="100.0" height="200.0">
                <flow>
                  <block xMin="1" yMin="2" xMax="3" yMax="4">
                    <line xMin="1" yMin="2" xMax="3" yMax="4">
                      <word xMin="1" yMin="2" xMax="3.5" yMax="4">&lt;a&gt; &amp;amp;</word>
                      <word xMin="1" yMin="2" xMax="3">no place</word>
                      <word xMin="nan" yMin="2" xMax="3" yMax="4">nowhere</word>
            """)
        #expect(pages.count == 1 && pages[0].width == 100 && pages[0].height == 200)
        #expect(pages[0].blocks == [[[PDFWord(text: "<a> &amp;", left: 1, top: 2, right: 3.5, bottom: 4)]]])
    }

    @Test func damagedListsAreReadAsFarAsTheyGo() {
        #expect(words("<word xMin=\"1\" yMin=\"2\" xMax=\"3\" yMax=\"4\">a</word>").isEmpty)
        #expect(words("<page width=\"x\">\n<line >\n<word >\n<block >\n<word >")[0].blocks == [[]])
        #expect(words("").isEmpty)
    }

    @Test func ligaturesAreLettersAndControlsAreNothing() {
        let pages = words(
            "<page >\n<block >\n<line >\n"
                + "<word xMin=\"1\" yMin=\"1\" xMax=\"2\" yMax=\"2\">e\u{FB03}c\u{1E}\u{1}\u{80}x</word>"
        )
        #expect(pages[0].blocks[0][0].map(\.text) == ["efficffix"])
    }

    @Test func wordsPartedByAHyphenAreJoined() {
        var page = PDFPageWords()
        page.blocks = [
            [line(("an", 0, 10), ("exam-", 12, 40)), line(("ple", 0, 10), ("and", 12, 20), top: 21)],
            [line(("Anglo-", 0, 10), top: 100), line(("Saxon", 0, 10), top: 111)],
        ]
        #expect(PDFParagraphs(page).texts == ["an example\nand", "Anglo-\nSaxon"])
    }

    @Test func whatTouchesIsOneWord() {
        var page = PDFPageWords()
        page.blocks = [[line(("H", 0, 5), ("2", 5.1, 8), ("O", 8.1, 12), ("is", 15, 20))]]
        #expect(PDFParagraphs(page).texts == ["H2O is"])
    }

    @Test func columnsOfATableBecomeRows() {
        let column = { (left: Double) in
            (0..<3).map { row in line(("\(Int(left)).\(row)", left, left + 20), top: Double(row) * 14) }
        }
        var page = PDFPageWords()
        page.blocks = [column(0), column(100), column(200)]
        #expect(PDFParagraphs(page).texts == ["0.0 100.0 200.0\n0.1 100.1 200.1\n0.2 100.2 200.2"])
    }

    @Test func columnsOfProseStayColumns() {
        let column = { (left: Double) in
            (0..<3).map { row in
                (0..<8).map { word in
                    let start = left + Double(word) * 10
                    return PDFWord(
                        text: "\(Int(left)).\(row).\(word)", left: start, top: Double(row) * 12,
                        right: start + 8,
                        bottom: Double(row) * 12 + 10)
                }
            }
        }
        var page = PDFPageWords()
        page.blocks = [column(0), column(200)]
        let text = PDFParagraphs(page).texts.joined(separator: "\n")
        #expect(text.hasPrefix("0.0.0 0.0.1"))
        let (last, next) = (text.firstRange(of: "0.2.7"), text.firstRange(of: "200.0.0"))
        #expect(last != nil && next != nil && last!.lowerBound < next!.lowerBound)
    }

    @Test func wordsWithoutContrastAreTakenOut() {
        var page = PDFPageWords()
        (page.width, page.height) = (10, 10)
        page.blocks = [
            [
                [
                    PDFWord(text: "seen", left: 0, top: 0, right: 5, bottom: 5),
                    PDFWord(text: "faint", left: 5, top: 0, right: 10, bottom: 5),
                    PDFWord(text: "outside", left: 50, top: 50, right: 60, bottom: 60),
                ]
            ]
        ]
        var samples = [UInt8](repeating: 255, count: 100)
        samples[22] = 200
        samples[27] = 245
        #expect(page.removeUnseen(on: GreyPicture(width: 10, height: 10, samples: samples)) == 2)
        #expect(page.blocks[0][0].map(\.text) == ["seen"])
    }
}

@Suite struct NetpbmTests {
    @Test func picturesComeOneAfterTheOther() {
        var raster = Netpbm(Array("P6\n2 1\n255\nabcdefP6\n1 1\n255\nxyz".utf8))
        #expect(raster.nextColour() == RGBImage(width: 2, height: 1, pixels: Array("abcdef".utf8)))
        #expect(raster.nextColour()?.pixels == Array("xyz".utf8))
        #expect(raster.nextColour() == nil)
    }

    @Test(
        arguments: [
            "", "P6", "P6\n2 1\n255\nabcde", "P6\n0 1\n255\n", "P6\n-1 1\n255\n", "P5\n1 1\n255\na",
            "P6\n1 1\n65535\nabcdef",
            "P6\n99999999 99999999\n255\nabc", "P6\n1 99999999999999999999 255\nabc", "P6  1 1 255 abc",
        ])
    func whatIsNoPictureIsNone(_ bytes: String) {
        var raster = Netpbm(Array(bytes.utf8))
        #expect(raster.nextColour() == nil)
    }
}

@Suite struct DOCXPartTests {
    @Test(
        arguments: [
            (1, "lowerLetter", "a"), (26, "upperLetter", "Z"), (27, "lowerLetter", "aa"),
            (780, "lowerLetter", String(repeating: "z", count: 30)),
            (781, "lowerLetter", "781"), (0, "lowerLetter", "0"), (1994, "upperRoman", "MCMXCIV"),
            (4000, "lowerRoman", "4000"),
            (0, "upperRoman", "0"), (7, "decimalZero", "07"), (12, "decimalZero", "12"),
            (3, "ideographDigital", "3"),
            (-5, "decimal", "-5"), (Int.max, "upperRoman", String(Int.max)),
        ] as [(Int, String, String)])
    func numbersAreSpelledAsTheirFormatSays(_ number: Int, _ format: String, _ expected: String) {
        #expect(DOCXNumbering.spelled(number, format) == expected)
    }

    @Test(
        arguments: [
            ("document.xml", ["word"], "word/document.xml"), ("/word/a.xml", ["x"], "word/a.xml"),
            ("../a.xml", ["word"], "a.xml"),
            ("./a/../b.xml", ["word"], "word/b.xml"), ("../../a.xml", ["word"], nil), ("/../a", [], nil),
        ] as [(String, [Substring], String?)])
    func targetsStayInTheArchive(_ target: String, _ folder: [Substring], _ expected: String?) {
        #expect(DOCXPackage.resolve(target, from: folder) == expected)
    }

    @Test func xmlIsReadElementByElement() throws {
        let reader = try XMLReader(
            Array(
                "<?xml version='1.0'?><a xmlns:w='u'><w:b w:c='1&amp;2'/>t<![CDATA[<x>]]><!-- no --></a>".utf8
            ), name: "x")
        #expect(try reader.next() == .start("a"))
        #expect(try reader.next() == .start("b"))
        #expect(reader.depth == 2 && reader.attribute("c") == "1&2" && reader.attribute("d") == nil)
        #expect(try reader.next() == .end("b"))
        var text = ""
        while case .text(let piece)? = try reader.next() { text += piece }
        #expect(text == "t<x>" && reader.depth == 0)
        #expect(try reader.next() == nil)
    }

    @Test(arguments: ["<a>", "<a></b>", "<a>&x;</a>", "", "<a b=1/>", "<a/><b/>", "<!DOCTYPE a><a/>", "text"])
    func whatIsNoXMLIsRefused(_ text: String) {
        #expect(throws: DocumentError.self) {
            let reader = try XMLReader(Array(text.utf8), name: "x")
            while try reader.next() != nil {}
        }
    }

    @Test func whatComesAfterTheDeadlineIsRefused() throws {
        let text = "<a>\(String(repeating: "<b/>", count: 100))</a>"
        let error = #expect(throws: DocumentError.self) {
            let reader = try XMLReader(Array(text.utf8), name: "x", until: .now + .seconds(-1))
            while try reader.next() != nil {}
        }
        #expect(error?.kind == .tooLarge)
    }

    @Test func marksWithinQuotesCommentsAndDataCountForNothing() throws {
        let quiet = String(repeating: "'\"=> ", count: 400)
        let text =
            "<?x \(quiet)?><a b='>\"' c=\"'>\"><!-- \(quiet)<b \(quiet) -->"
            + "<![CDATA[\(quiet)<!D]]>\(quiet)</a>"
        try XMLScan(Array(text.utf8), name: "x").check()
        for fault in ["<!DOCTYPE a>", "<a><!ENTITY", "<!", "<a \(String(repeating: "b='>' ", count: 257))>"] {
            #expect(throws: DocumentError.self) { try XMLScan(Array(fault.utf8), name: "x").check() }
        }
        let long = String(repeating: "x", count: DocumentLimits.maxXMLStretch)
        for fault in ["<a>\(long)y", "<a b='\(long)'/>", "<!--\(long)", "<![CDATA[\(long)", "\(long)y<a/>"] {
            #expect(throws: DocumentError.self) { try XMLScan(Array(fault.utf8), name: "x").check() }
        }
    }

    @Test func skippingPassesOverAnElementAndNoMore() throws {
        let reader = try XMLReader(Array("<a><b><c/>x</b><d/></a>".utf8), name: "x")
        _ = try reader.next()
        _ = try reader.next()
        try reader.skip()
        #expect(try reader.next() == .start("d"))
        try reader.skip()
        #expect(try reader.next() == .end("a"))
    }

    @Test func blocksAreSetApartAsTextIs() throws {
        var blocks = BlockText(maxBytes: 100)
        for (kind, text) in [
            (BlockText.Kind.heading, "h"), (.paragraph, "p"), (.paragraph, " \n"), (.item, "a"), (.item, "b"),
            (.row, "c"), (.row, "d"),
        ] { try blocks.append(kind, text) }
        #expect(blocks.text == "h\n\np\n\na\nb\n\nc\nd")
        #expect(throws: DocumentError.self) { try blocks.append(.row, String(repeating: "x", count: 100)) }
    }
}
