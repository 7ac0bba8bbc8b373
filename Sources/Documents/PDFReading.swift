//! The order in which a page is drawn, where it is one in which it can be read.

/// The pieces of a page as they are drawn. They are a reading where
/// * each lies below or right of all that came before it, but for the page's head and foot, which programs
///   draw when they please;
/// * they go on in another column only from running text to running text: a table may be drawn by columns,
///   and a form's answers after its questions;
/// * lines come beside each other, again and again, only where they are cells: columns of running text may be
///   drawn across.
/// What is drawn in any other way is left to poppler.
struct PDFReading {
    /// The blocks of a page in the order of reading: as it is drawn where that is a reading, and another one
    /// than poppler's with tables brought in rows.
    static func blocks(of page: PDFPageWords, drawn order: PDFDrawnOrder?) -> [[[PDFWord]]] {
        let found = PDFTables.inRows(page.blocks)
        guard let order, !order.agrees(with: found), let words = order.words(of: page.blocks),
            let reading = PDFReading(PDFPiece.cut(words)),
            !reading.pieces.lazy.flatMap({ $0.lines.joined() }).elementsEqual(found.joined().joined())
        else { return found }
        return reading.blocks
    }

    private let pieces: [PDFPiece]
    /// Pieces that stand beside each other, each the next of the one before it.
    private let rows: [Range<Int>]
    /// Rows that are those of a table, by their numbers.
    private let tables: [ClosedRange<Int>]
    private let isInTable: [Bool]

    /// Nil where the pieces are no reading, or so many that it is not looked for.
    private init?(_ drawn: [PDFPiece]) {
        guard drawn.count <= DocumentLimits.maxPagePieces else { return nil }
        pieces = Self.isOrdered(drawn[...]) ? drawn : Self.withoutMargins(drawn)
        guard Self.isOrdered(pieces[...]) else { return nil }
        rows = Self.rows(of: pieces)
        tables = Self.tables(pieces, rows)
        var isInTable = [Bool](repeating: false, count: rows.count)
        for row in tables.joined() { isInTable[row] = true }
        self.isInTable = isInTable
        guard tables.allSatisfy(hasCells), columnsRun else { return nil }
    }

    /// Whether each piece lies below or right of all before it.
    private static func isOrdered(_ pieces: ArraySlice<PDFPiece>) -> Bool {
        pieces.indices.allSatisfy { index in
            pieces[..<index].allSatisfy { pieces[index].isBelow($0) || pieces[index].isRight(of: $0) }
        }
    }

    /// The pieces with lines that stand above or below all others in their places, of which each end of the
    /// drawing may hold some: no more are moved than must be.
    private static func withoutMargins(_ drawn: [PDFPiece]) -> [PDFPiece] {
        let most = 4
        var (head, foot): ([PDFPiece], [PDFPiece]) = ([], [])
        var rest = drawn[...]
        while drawn.count - rest.count < most, !isOrdered(rest), let piece = rest.first {
            if piece.isHead(of: rest.dropFirst()) {
                head.append(piece)
            } else if piece.isFoot(of: rest.dropFirst()) {
                foot.append(piece)
            } else {
                break
            }
            rest.removeFirst()
        }
        var (lateHead, lateFoot): ([PDFPiece], [PDFPiece]) = ([], [])
        while lateHead.count + lateFoot.count < most, !isOrdered(rest), let piece = rest.last {
            if piece.isHead(of: rest.dropLast()) {
                lateHead.append(piece)
            } else if piece.isFoot(of: rest.dropLast()) {
                lateFoot.append(piece)
            } else {
                break
            }
            rest.removeLast()
        }
        return head + lateHead.reversed() + rest + lateFoot.reversed() + foot
    }

    private static func rows(of pieces: [PDFPiece]) -> [Range<Int>] {
        var rows: [Range<Int>] = []
        for index in pieces.indices {
            if index > 0, !pieces[index].follows(pieces[index - 1]), !pieces[index].isAbove(pieces[index - 1])
            {
                rows[rows.count - 1] = rows[rows.count - 1].lowerBound..<index + 1
            } else {
                rows.append(index..<index + 1)
            }
        }
        return rows
    }

    /// Rows whose first piece stands below that of the row before, and one of the others below another, with
    /// at most two rows of one piece between: drawing came back to the first column, as it does in a table.
    private static func tables(_ pieces: [PDFPiece], _ rows: [Range<Int>]) -> [ClosedRange<Int>] {
        func isAlike(_ row: Range<Int>, _ other: Range<Int>) -> Bool {
            let (first, second) = (row.lowerBound, other.lowerBound)
            return pieces[first].overlaps(pieces[second]) && pieces[second].follows(pieces[first])
                && !pieces[second].isAbove(pieces[row.upperBound - 1])
                && row.dropFirst().contains { cell in
                    other.dropFirst().contains { pieces[cell].overlaps(pieces[$0]) }
                }
        }
        var tables: [ClosedRange<Int>] = []
        var last: Int?
        for row in rows.indices where rows[row].count > 1 {
            let between = last.map { $0 + 1..<row }
            if let start = last, let between, between.count <= 2, isAlike(rows[start], rows[row]),
                between.allSatisfy({ pieces[rows[$0].lowerBound].follows(pieces[rows[$0 - 1].lowerBound]) })
            {
                let isNext = tables.last?.upperBound == start
                let first = isNext ? tables.removeLast().lowerBound : start
                tables.append(first...row)
            }
            last = row
        }
        return tables
    }

    /// Whether what stands in columns is cells: they have more than one line, or no column is running text.
    /// What follows a mark, as in a list, may be.
    private func hasCells(_ table: ClosedRange<Int>) -> Bool {
        let cells = table.map { pieces[rows[$0]] }
        if cells.joined().contains(where: \.isTall) { return true }
        let columns = (0..<(cells.map(\.count).max() ?? 0)).map { column in
            cells.filter { $0.count > column }.map { $0[$0.startIndex + column].lines[0] }
        }
        let isMarked = columns[0].allSatisfy(PDFPiece.isMark)
        return columns.indices.allSatisfy { isMarked && $0 <= 1 || !PDFPiece.isRunning(columns[$0]) }
    }

    /// Whether all that goes on in another column is running text before and after.
    private var columnsRun: Bool {
        let starts = columnStarts
        return starts.indices.allSatisfy { number in
            let start = starts[number]
            let end = number + 1 < starts.count ? starts[number + 1] : pieces.count
            let piece = pieces[start]
            return isRunning(pieces[..<start].filter { piece.isRight(of: $0) && !piece.isBelow($0) })
                && isRunning(Array(pieces[start..<end]))
        }
    }

    /// The first piece of each column but the first: what stands above the piece before it, or beside it
    /// where one of the row has several lines and none is a cell.
    private var columnStarts: [Int] {
        var starts: [Int] = []
        for row in rows.indices {
            let first = rows[row].lowerBound
            if first > 0, pieces[first].isAbove(pieces[first - 1]) { starts.append(first) }
            if !isInTable[row], pieces[rows[row]].contains(where: \.isTall) {
                starts += rows[row].dropFirst()
            }
        }
        return starts
    }

    /// Whether one of the pieces is running text, or what has lines of them together.
    private func isRunning(_ pieces: [PDFPiece]) -> Bool {
        if pieces.contains(where: { PDFPiece.isRunning($0.lines) }) { return true }
        let tall = pieces.filter(\.isTall)
        let (lines, words) = tall.reduce((0, 0)) { ($0.0 + $1.lines.count, $0.1 + $1.wordCount) }
        let pairs = lines - tall.count
        return pairs >= 3 && words >= 3 * lines && tall.reduce(0) { $0 + $1.fullCount } * 4 >= 3 * pairs
    }

    /// A row of cells becomes a line. What goes on below in the same of poppler's blocks, or with the rest of
    /// a word, belongs to what is above it.
    private var blocks: [[[PDFWord]]] {
        var result: [[[PDFWord]]] = []
        // Poppler's blocks that the last line of the result is of.
        var sources: Set<Int> = []
        for row in rows.indices {
            let isLine = isInTable[row] || !pieces[rows[row]].contains(where: \.isTall)
            for index in rows[row] {
                let piece = pieces[index]
                let lines = isInTable[row] ? [Self.joined(piece.lines)] : piece.lines
                let block = result.count - 1
                if isLine, index > rows[row].lowerBound {
                    result[block][result[block].count - 1] += lines[0]
                    sources.insert(piece.block)
                    continue
                }
                if block >= 0,
                    continues(index, sources, after: result[block])
                        || row > 0 && isInTable[row]
                            && isInTable[row - 1]
                {
                    result[block] += lines
                } else {
                    result.append(lines)
                }
                sources = [piece.block]
            }
        }
        return result
    }

    private func continues(_ index: Int, _ sources: Set<Int>, after block: [[PDFWord]]) -> Bool {
        let piece = pieces[index]
        if sources.contains(piece.block), piece.follows(pieces[index - 1]) { return true }
        guard let last = block.last?.last else { return false }
        return PDFParagraphs.isParted(last.text, piece.lines[0][0].text)
    }

    /// A cell's lines as one.
    private static func joined(_ lines: [[PDFWord]]) -> [PDFWord] {
        var words: [PDFWord] = []
        for line in lines {
            var line = line
            if let last = words.last, PDFParagraphs.isParted(last.text, line[0].text) {
                words.removeLast()
                line[0].text = PDFParagraphs.withoutHyphen(last.text) + line[0].text
            }
            words += line
        }
        return words
    }
}
