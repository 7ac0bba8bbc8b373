//! The order of reading: as a page is drawn where that is one, as poppler finds it elsewhere.

import Testing

@testable import Documents

/// A page that is drawn line by line, in letters of 5 points' width.
private struct Drawing {
    private(set) var order = PDFDrawnOrder()
    /// What was drawn, by the block of poppler's that it is to be in.
    private var blocks: [Int: [[PDFWord]]] = [:]

    /// Draws a line of words with its lower left corner at `left` and `bottom`, from the top.
    mutating func draw(_ text: String, _ left: Double, _ bottom: Double, in block: Int, space: Double = 3) {
        var (x, words) = (left, [PDFWord]())
        for word in text.split(separator: " ") {
            let right = x + 5 * Double(word.count)
            words.append(
                PDFWord(text: String(word), left: x, top: bottom - 10, right: right, bottom: bottom))
            x = right + space
        }
        for word in words { order.append(word) }
        blocks[block, default: []].append(words)
    }

    /// The page as poppler gives it: blocks by their numbers, lines of each from the top.
    var page: PDFPageWords {
        var page = PDFPageWords()
        page.blocks = blocks.sorted { $0.key < $1.key }.map { block in
            block.value.enumerated().sorted {
                ($0.element[0].top, $0.offset) < ($1.element[0].top, $1.offset)
            }
            .map(\.element)
        }
        return page
    }

    /// The page's text in one line, and what it is without knowing how it was drawn.
    var text: String { squeezed(PDFParagraphs(page, drawn: order).texts.joined(separator: "\n")) }
    var found: String { squeezed(PDFParagraphs(page).texts.joined(separator: "\n")) }
}

@Suite struct ReadingOrderTests {
    /// Six lines of prose, each of six words that begin with `letter`.
    private func prose(_ letter: String) -> [String] {
        (0..<6).map { line in (0..<6).map { "\(letter)\(line)\($0)" }.joined(separator: " ") }
    }

    @Test func linesOfTheListAreNumberedAsTheyCome() throws {
        let orders = PDFDrawnOrder.parse(
            Array(
                """
                <word xMin="1" yMin="2" xMax="3" yMax="4">before any page</word>
                <page width="100.0" height="200.0">
                  <word xMin="50" yMin="2" xMax="60" yMax="9">b</word>
                  <word xMin="1" yMin="2" xMax="nan" yMax="4">nowhere</word>
                  <word xMin="1" yMin="2" xMax="9" yMax="9">a</word>
                <page width="100.0" height="200.0">
                """.utf8))
        try #require(orders.count == 2)
        let (a, b) = (
            PDFWord(text: "a", left: 1, top: 2, right: 9, bottom: 9),
            PDFWord(text: "b", left: 50, top: 2, right: 60, bottom: 9)
        )
        #expect(orders[0].words(of: [[[a, b]]])?.map(\.word.text) == ["b", "a"])
        #expect(orders[0].agrees(with: [[[b], [a]]]) && !orders[0].agrees(with: [[[a, b]]]))
        #expect(orders[1].words(of: [[[a]]]) == nil && !orders[1].agrees(with: [[[a]]]))
    }

    @Test func aJustifiedLineIsReadToItsEnd() {
        var page = Drawing()
        page.draw("one two three", 0, 10, in: 0, space: 18)
        page.draw("four", 120, 10, in: 1)
        page.draw("five six.", 0, 22, in: 0)
        #expect(page.found == "one two three five six. four")
        #expect(page.text == "one two three four five six.")
    }

    @Test func theLinesOfACellStayTogether() {
        var page = Drawing()
        for (row, name) in ["a", "b", "c"].enumerated() {
            let bottom = 40 * Double(row)
            page.draw(name + "1", 0, bottom + 10, in: 10 * row)
            page.draw(name + "2", 60, bottom + 10, in: 10 * row + 1)
            page.draw(name + "3", 60, bottom + 22, in: 10 * row + 1)
            page.draw(name + "4", 120, bottom + 10, in: 10 * row + 2)
            page.draw(name + "5", 120, bottom + 22, in: 10 * row + 2)
        }
        #expect(page.text == "a1 a2 a3 a4 a5 b1 b2 b3 b4 b5 c1 c2 c3 c4 c5")
        #expect(page.found != page.text)
        #expect(PDFParagraphs(page.page, drawn: page.order).texts.count == 1)
    }

    @Test func aWordPartedWithinACellIsJoined() {
        var page = Drawing()
        for row in [0.0, 40] {
            page.draw("x", 0, row + 10, in: Int(row))
            page.draw("thun-", 60, row + 10, in: Int(row) + 1)
            page.draw("der", 60, row + 22, in: Int(row) + 1)
            page.draw("y", 120, row + 10, in: Int(row) + 2)
            page.draw("z", 120, row + 22, in: Int(row) + 2)
        }
        #expect(page.text == "x thunder y z x thunder y z")
    }

    /// Three columns, so narrow that their lines look like cells.
    @Test func narrowColumnsAreReadOneAfterTheOther() {
        var page = Drawing()
        var expected: [String] = []
        for column in 0..<3 {
            for line in 0..<8 {
                let words = (0..<4).map { "\("abc".dropFirst(column).prefix(1))\(line)\($0)" }
                page.draw(
                    words.joined(separator: " "), 100 * Double(column), 12 * Double(line + 1), in: column)
                expected += words
            }
        }
        #expect(page.found != expected.joined(separator: " "))
        #expect(page.text == expected.joined(separator: " "))
    }

    @Test func columnsThatPopplerTakesForOneAreParted() {
        var page = Drawing()
        for (line, text) in prose("a").enumerated() { page.draw(text, 0, 12 * Double(line + 1), in: 0) }
        for (line, text) in prose("b").enumerated() { page.draw(text, 120, 12 * Double(line + 1), in: 0) }
        #expect(page.text == (prose("a") + prose("b")).joined(separator: " "))
        #expect(page.found != page.text)
    }

    @Test func headAndFootMayBeDrawnAtAnyTime() {
        var page = Drawing()
        page.draw("7", 100, 800, in: 9)
        page.draw("one two three", 0, 60, in: 1, space: 18)
        page.draw("four", 120, 60, in: 2)
        page.draw("five six.", 0, 72, in: 1)
        page.draw("Head", 0, 10, in: 0)
        page.draw("II", 130, 10, in: 0)
        #expect(page.text == "Head II one two three four five six. 7")
        #expect(page.found != page.text)
    }

    // What is drawn otherwise than it is read is left to poppler.

    @Test func columnsDrawnAcrossAreReadDown() {
        for shift in [0.0, 5] {
            var page = Drawing()
            for (line, texts) in zip(prose("a"), prose("b")).enumerated() {
                page.draw(texts.0, 0, 12 * Double(line + 1), in: 0)
                page.draw(texts.1, 150, 12 * Double(line + 1) + shift, in: 1)
            }
            #expect(page.text == (prose("a") + prose("b")).joined(separator: " "))
        }
    }

    @Test func linesAreNotReadWithTheirNumbers() {
        var page = Drawing()
        for (line, text) in prose("a").enumerated() {
            page.draw("\(line)", 0, 12 * Double(line + 1), in: 0)
            page.draw(text, 30, 12 * Double(line + 1), in: 1)
        }
        #expect(page.text == "0 1 2 3 4 5 " + prose("a").joined(separator: " "))
    }

    @Test(arguments: [12, 20])
    func aTableOrFormDrawnByColumnsIsReadByRows(_ pitch: Double) {
        var page = Drawing()
        for column in 0..<3 {
            for row in 0..<5 {
                // As lines of one block, or each by itself.
                page.draw(
                    "\(column)\(row)", 80 * Double(column), pitch * Double(row + 1),
                    in: pitch < 15 ? column : 10 * column + row)
            }
        }
        let rows = (0..<5).map { row in (0..<3).map { "\($0)\(row)" }.joined(separator: " ") }
        #expect(page.text == rows.joined(separator: " "))
    }

    @Test func layersAreReadTogether() {
        var page = Drawing()
        for part in [0.0, 1, 2] { page.draw("H\(Int(part))", 0, 60 * part + 10, in: Int(part)) }
        for part in [0.0, 1, 2] { page.draw("t\(Int(part))", 0, 60 * part + 24, in: Int(part)) }
        #expect(page.text == "H0 t0 H1 t1 H2 t2")
    }

    @Test func wordsThatAreNotKnownAreInPopplersOrder() {
        var page = Drawing()
        page.draw("one two three", 0, 10, in: 0, space: 18)
        page.draw("four", 120, 10, in: 1)
        page.draw("five six.", 0, 22, in: 0)
        let found = PDFParagraphs(page.page).texts
        #expect(PDFParagraphs(page.page, drawn: PDFDrawnOrder()).texts == found)
    }

    @Test func moreThanTheLimitIsLeftToPoppler() {
        func page(_ count: Int) -> Drawing {
            var page = Drawing()
            page.draw("one two three", 0, 10, in: 0, space: 18)
            page.draw("four", 120, 10, in: 1)
            page.draw("five six.", 0, 22, in: 0)
            for line in 0..<count { page.draw("x", 0, 40 * Double(line + 2), in: line + 2) }
            return page
        }
        let (most, more) = (page(DocumentLimits.maxPagePieces - 3), page(DocumentLimits.maxPagePieces - 2))
        #expect(most.text != most.found && more.text == more.found)
    }
}
