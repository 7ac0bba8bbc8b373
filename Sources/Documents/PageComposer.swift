//! Paragraphs to pages: which line stands where.

/// A line of text at its place within a paragraph. Lengths are points.
struct PlacedLine {
    var inks: [Ink]
    /// Which line of the paragraph's share of the page it is, from zero.
    var number: Int
    /// From the paragraph's left edge to the first character.
    var shift: Double
    /// What each space is wider (or narrower) than the font has it.
    var wordSpacing: Double
}

/// A paragraph's share of a page: its background, and the lines upon it. Lengths are points; edges and
/// baselines are measured up from the page's bottom, as in a PDF.
struct PlacedParagraph {
    /// The left edge of the frame that holds the paragraph.
    var frameLeft: Double
    /// From the frame's edge to the paragraph's.
    var indent: Double
    var bottom: Double
    var width: Double
    var height: Double
    var lines: [PlacedLine]

    /// The left edge.
    var left: Double { frameLeft + indent }

    /// The baseline of a line.
    func baseline(of line: PlacedLine, _ settings: PageSettings) -> Double {
        bottom + height - settings.fontSize - Double(line.number) * settings.lineHeight
    }
}

/// Places paragraphs on pages one after the other, as ReportLab's frames do, down to the order of additions,
/// since a page is full or not by comparisons of sums.
struct PageComposer {
    private let settings: PageSettings
    private let measure: FontMeasure
    private let pageLimit: Int
    private(set) var pages: [[PlacedParagraph]] = [[]]

    private let left: Double
    private let bottom: Double
    private let top: Double
    private let width: Double
    private var y: Double
    private var isAtTop = true
    private var spaceAfterPrevious = 0.0

    init(_ settings: PageSettings, pageLimit: Int, _ measure: FontMeasure) {
        self.settings = settings
        self.measure = measure
        self.pageLimit = pageLimit
        let padding = PageSettings.framePadding
        left = settings.marginX + padding
        bottom = settings.marginY + padding
        top = settings.marginY + (settings.pageHeight - 2 * settings.marginY) - padding
        width = settings.frameWidth
        y = top
    }

    /// Places a whole paragraph, on as many pages as it needs.
    /// - Throws: `tooLarge` when it needs more pages than allowed.
    mutating func append(_ paragraph: Paragraph) throws(DocumentError) {
        var paragraph = paragraph
        var wasPostponed = false
        let leading = settings.lineHeight
        let pageCapacity = Int((top - bottom) / leading) + 2
        let textWidth = width - settings.leftIndent - settings.rightIndent
        if paragraph.leastLines(width: textWidth, measure) > (pageLimit - pages.count + 1) * pageCapacity {
            throw tooLong
        }
        while true {
            let spaceBefore = isAtTop ? 0 : max(settings.spaceBefore - spaceAfterPrevious, 0)
            let available = y - bottom - spaceBefore
            if available > 0 {
                let capacity = Int(available / leading)
                let lines = paragraph.broken(
                    width: textWidth, limit: capacity + 1,
                    rest: (pageLimit - pages.count + 2) * pageCapacity, measure)
                if lines.isComplete {
                    let height = Double(lines.lines.count) * leading + spaceBefore
                    if y - height >= bottom - 1e-6 || lines.lines.count <= capacity {
                        place(lines.lines, of: paragraph, spaceBefore: spaceBefore, endsParagraph: true)
                        return
                    }
                }
                if capacity >= 2 {
                    let (head, tail) = paragraph.split(lines, after: capacity)
                    place(head, of: paragraph, spaceBefore: spaceBefore, endsParagraph: false)
                    paragraph = tail
                    wasPostponed = false
                    continue
                }
            }
            guard !wasPostponed else {
                throw DocumentError(
                    .settings,
                    "a page of \(settings.pageHeight) points has no room for two lines of \(leading)")
            }
            wasPostponed = true
            try startPage()
        }
    }

    private var tooLong: DocumentError {
        DocumentError(
            .tooLarge,
            "the text needs more than \(pageLimit) pages; shorten it or split it")
    }

    private mutating func startPage() throws(DocumentError) {
        guard pages.count < pageLimit else {
            throw tooLong
        }
        pages.append([])
        y = top
        isAtTop = true
        spaceAfterPrevious = 0
    }

    private mutating func place(
        _ lines: [BrokenLine], of paragraph: Paragraph, spaceBefore: Double, endsParagraph: Bool
    ) {
        let height = Double(lines.count) * settings.lineHeight
        let before = y
        y -= height + spaceBefore
        var placed = PlacedParagraph(
            frameLeft: left, indent: settings.leftIndent, bottom: y,
            width: width - (settings.leftIndent + settings.rightIndent), height: height, lines: [])
        var starts = LineStarts()
        for (number, line) in lines.enumerated() {
            let isLast = number == lines.count - 1
            let indent = number == 0 ? paragraph.firstLineIndent : 0
            let staysRagged = line.endsAtBreak || (isLast && endsParagraph)
            let (shift, spacing) = position(line, staysRagged: staysRagged)
            let start: Double
            if indent != 0 && losesIndent(line, of: paragraph) {
                // ReportLab takes this indent back from the lines below without having given it.
                start = starts.next(0)
                starts.takeBack(indent)
            } else {
                start = starts.next(indent + shift)
            }
            guard !line.inks.isEmpty else { continue }
            placed.lines.append(
                PlacedLine(inks: line.inks, number: number, shift: start, wordSpacing: spacing))
        }
        pages[pages.count - 1].append(placed)
        y -= settings.spaceAfter
        spaceAfterPrevious = settings.spaceAfter
        if y != before { isAtTop = false }
    }

    private func losesIndent(_ line: BrokenLine, of paragraph: Paragraph) -> Bool {
        (settings.alignment == .right || settings.alignment == .center) && line.isTight && line.gaps > 0
            && !paragraph.isPlain
    }

    /// How far a line moves right, and what its spaces gain.
    private func position(_ line: BrokenLine, staysRagged: Bool) -> (shift: Double, spacing: Double) {
        let extra = line.extraSpace
        if settings.alignment == .justify {
            let isPlain =
                (extra > -1e-8 && extra <= 1e-8) || (staysRagged && (extra > -1e-8 || line.endsAtBreak))
            return (0, isPlain || line.gaps <= 0 ? 0 : extra / Double(line.gaps))
        }
        if line.isTight && line.gaps > 0 { return (0, extra / Double(line.gaps)) }
        switch settings.alignment {
        case .left, .justify: return (0, 0)
        case .center: return (0.5 * extra, 0)
        case .right: return (extra, 0)
        }
    }
}
