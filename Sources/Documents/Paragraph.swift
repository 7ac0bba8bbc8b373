//! A paragraph, or what is left of one after a page break.

/// A batch of source lines on its way to the pages.
struct Paragraph {
    private enum Content {
        case words(WordText, from: TextPosition)
        case characters(CJKText)
    }

    private var content: Content
    /// The first line's indent; what continues a paragraph on another page has none.
    let firstLineIndent: Double

    init(
        _ text: FragmentedText, wrapsCJK: Bool, firstLineIndent: Double, _ measure: FontMeasure
    ) throws(DocumentError) {
        content =
            wrapsCJK
            ? .characters(try CJKText(text, measure)) : .words(WordText(text, measure), from: TextPosition())
        self.firstLineIndent = firstLineIndent
    }

    private init(_ content: Content) {
        self.content = content
        firstLineIndent = 0
    }

    /// Whether the paragraph is one fragment, which ReportLab draws by other rules than several.
    var isPlain: Bool {
        switch content {
        case .words(let text, _): text.isPlain
        case .characters(let text): text.isPlain
        }
    }

    /// A number of lines that the paragraph is sure to exceed or meet, from its visible width alone. It
    /// refuses a text that is far too long before the whole of it is broken again and again. Zero where
    /// breaking is lazy.
    func leastLines(width: Double, _ measure: FontMeasure) -> Int {
        guard case .characters(let text) = content else { return 0 }
        var total = 0.0
        for unit in text.units {
            // A plain paragraph's lines lose the white space at their ends, and its rest with them.
            let mayVanish =
                text.isPlain
                && (unit.ink?.scalar == Ink.space || unit.ink?.scalar == Ink.nonBreakingSpace)
            if !mayVanish { total += unit.advance }
        }
        // A line may hang over by one character; none is assumed wider than four ems.
        return Int(total / (width + abs(firstLineIndent) + 4 * measure.size))
    }

    /// The first lines of a paragraph.
    struct Lines {
        var lines: [BrokenLine]
        /// Whether these are all.
        var isComplete: Bool
        fileprivate var characterLines: [CJKText.Line] = []
    }

    /// Breaks lines until the paragraph ends or there are `limit` of them.
    /// - Parameter rest: lines that could be of use at all, for paragraphs that are broken as a whole.
    func broken(width: Double, limit: Int, rest: Int, _ measure: FontMeasure) -> Lines {
        let widths = LineWidths(first: width - firstLineIndent, later: width)
        switch content {
        case .words(let text, let position):
            var breaker = WordLineBreaker(text, from: position, widths: widths, measure)
            var lines: [BrokenLine] = []
            while lines.count <= limit {
                guard let line = breaker.next() else { return Lines(lines: lines, isComplete: true) }
                lines.append(line)
            }
            return Lines(lines: lines, isComplete: false)
        case .characters(let text):
            let all = text.lines(widths: widths, limit: max(rest, limit + 1))
            return Lines(
                lines: all.prefix(limit + 1).map { text.broken($0) }, isComplete: all.count <= limit,
                characterLines: all)
        }
    }

    /// Cuts the paragraph after `count` lines.
    /// - Returns: the lines before the cut, and the paragraph after it.
    func split(_ lines: Lines, after count: Int) -> (head: [BrokenLine], tail: Paragraph) {
        var head = Array(lines.lines[..<count])
        switch content {
        case .words(let text, _):
            // The break that ended an empty last line goes to the tail, and the line with it.
            if !text.isPlain, head[count - 1].isBlank { head.removeLast() }
            return (head, Paragraph(.words(text, from: lines.lines[count].start)))
        case .characters(let text):
            return (head, Paragraph(.characters(text.rebuilt(from: lines.characterLines[count...]))))
        }
    }
}
