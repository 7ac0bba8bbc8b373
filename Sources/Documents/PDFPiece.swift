//! Pieces of a PDF's page: what is drawn one word after the other, and stands together.

/// Words of one block of poppler's that are drawn one after the other, as lines from the top down: a
/// paragraph or a part of it, a cell, a mark before an item. Heights of words are those of their font, which
/// may be twice what its letters have; so what is above what is told by the middles of lines.
struct PDFPiece {
    /// The block's number.
    let block: Int
    /// None of them empty, and at least one.
    let lines: [[PDFWord]]
    let left: Double
    let right: Double
    private let top: Double
    private let bottom: Double
    /// The middles of the highest and of the lowest line.
    private let first: Double
    private let last: Double
    /// Of the lowest word.
    private let height: Double
    let wordCount: Int
    /// Lines before the last that are full: the next line's first word has no room in them.
    let fullCount: Int

    init(block: Int, lines: [[PDFWord]]) {
        self.block = block
        self.lines = lines
        var (left, right) = (Double.infinity, -Double.infinity)
        var (top, bottom, height) = (Double.infinity, -Double.infinity, Double.infinity)
        for word in lines.joined() {
            (left, right) = (min(left, word.left), max(right, word.right))
            (top, bottom) = (min(top, word.top), max(bottom, word.bottom))
            height = min(height, word.height)
        }
        (self.left, self.right, self.top, self.bottom, self.height) = (left, right, top, bottom, height)
        let middles = lines.map { $0[0].middle }
        (first, last) = (middles.min() ?? 0, middles.max() ?? 0)
        wordCount = lines.reduce(0) { $0 + $1.count }
        fullCount = Self.fullCount(of: lines, right: right)
    }

    var isTall: Bool { lines.count > 1 }

    /// Whether the lines are running text. What has more than five words a line is; so is what has three or
    /// more, in lines that mostly are full. Columns of cells are neither.
    static func isRunning(_ lines: [[PDFWord]]) -> Bool {
        let words = lines.reduce(0) { $0 + $1.count }
        if lines.count > 1, words > 5 * lines.count { return true }
        guard lines.count > 2, words >= 3 * lines.count else { return false }
        let right = lines.reduce(-Double.infinity) { $1.reduce($0) { max($0, $1.right) } }
        return fullCount(of: lines, right: right) * 4 >= (lines.count - 1) * 3
    }

    private static func fullCount(of lines: [[PDFWord]], right: Double) -> Int {
        zip(lines, lines.dropFirst()).count { line, next in
            right - line[line.count - 1].right < next[0].right - next[0].left + next[0].height / 5
        }
    }

    /// Whether all of it lies below all of another.
    func isBelow(_ other: PDFPiece) -> Bool { first - other.last > 0.2 * min(height, other.height) }

    func isRight(of other: PDFPiece) -> Bool { left >= other.right - 0.3 * min(height, other.height) }

    /// Whether it is read after another one of which it is the next: it lies below it. What is right of it
    /// and reaches up to its height stands beside it.
    func follows(_ other: PDFPiece) -> Bool {
        isBelow(other) && !(isRight(of: other) && reaches(up: other))
    }

    /// Whether all of it lies above all of another, at whose height it does not end.
    func isAbove(_ other: PDFPiece) -> Bool { other.isBelow(self) && !other.reaches(up: self) }

    /// Whether its box begins within the other's height.
    private func reaches(up other: PDFPiece) -> Bool {
        other.bottom - top > 0.3 * min(height, other.height)
    }

    /// Whether both have a part of the page's width in common.
    func overlaps(_ other: PDFPiece) -> Bool { left < other.right && other.left < right }

    /// Whether it has one line, and stands above or beside all others.
    func isHead(of others: ArraySlice<PDFPiece>) -> Bool {
        !isTall && others.allSatisfy { $0.isBelow(self) || !$0.isTall && !self.isBelow($0) }
    }

    /// Whether it has one line, and stands below or beside all others.
    func isFoot(of others: ArraySlice<PDFPiece>) -> Bool {
        !isTall && others.allSatisfy { self.isBelow($0) || !$0.isTall && !$0.isBelow(self) }
    }

    /// Whether it stands before an item of a list: a few characters that are not all digits.
    static func isMark(_ line: [PDFWord]) -> Bool {
        line.count == 1 && line[0].text.count <= 4
            && line[0].text.contains { !$0.isLetter && !$0.isNumber }
    }

    /// Cuts words, in the order in which they are drawn, in pieces.
    static func cut(_ words: [PDFDrawnOrder.Drawn]) -> [PDFPiece] {
        var pieces: [PDFPiece] = []
        var (block, lines) = (0, [[PDFWord]]())
        func end() {
            guard !lines.isEmpty else { return }
            let piece = PDFPiece(block: block, lines: lines)
            if let last = pieces.last, let line = last.firstLine(beside: piece) {
                pieces[pieces.count - 1] = PDFPiece(block: last.block, lines: Array(last.lines[..<line]))
                pieces.append(PDFPiece(block: last.block, lines: Array(last.lines[line...])))
            }
            pieces.append(piece)
            lines = []
        }
        for drawn in words {
            let word = drawn.word
            if !lines.isEmpty, drawn.block == block {
                switch step(from: lines[lines.count - 1], to: word) {
                case .along:
                    lines[lines.count - 1].append(word)
                    continue
                case .down(at: 0):
                    lines.append([word])
                    continue
                case .down(at: let start):
                    let cell = Array(lines[lines.count - 1][start...])
                    lines[lines.count - 1].removeSubrange(start...)
                    end()
                    (block, lines) = (drawn.block, [cell, [word]])
                    continue
                case .away: break
                }
            }
            end()
            (block, lines) = (drawn.block, [[word]])
        }
        end()
        return pieces
    }

    private enum Step: Equatable {
        /// Goes on with the line.
        case along
        /// Goes on below the line's word of that number: not its first one where several cells were drawn in
        /// one line, of which the last has a second line.
        case down(at: Int)
        /// Begins elsewhere.
        case away
    }

    private static func step(from line: [PDFWord], to word: PDFWord) -> Step {
        let (first, last) = (line[0], line[line.count - 1])
        if abs(word.middle - last.middle) < 0.35 * max(word.height, last.height) {
            return word.left >= last.right - 0.3 * word.height ? .along : .away
        }
        guard word.middle > last.middle, word.left < last.right, first.left < word.right else { return .away }
        if abs(word.left - first.left) <= 2 * word.height { return .down(at: 0) }
        let start = line.indices.dropFirst().first {
            abs(line[$0].left - word.left) < 0.2 * word.height
                && line[$0].left - line[$0 - 1].right > 0.3 * word.height
        }
        return start.map { .down(at: $0) } ?? .away
    }

    /// The first of the last lines that are a piece of their own, for the next piece stands beside them: the
    /// first cell of a row, which went on from the text above it. Nil where there are none.
    private func firstLine(beside next: PDFPiece) -> Int? {
        guard isTall, !next.follows(self), next.left < right - 0.3 * next.height else { return nil }
        let tolerance = 0.2 * min(height, next.height)
        guard let start = lines.firstIndex(where: { next.first - $0[0].middle <= tolerance }), start > 0,
            lines[start...].allSatisfy({ $0[$0.count - 1].right <= next.left + 0.3 * next.height })
        else { return nil }
        return start
    }
}
