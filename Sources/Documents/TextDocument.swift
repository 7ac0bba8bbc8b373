//! A text as pages: laid out at once, drawn one page at a time.

/// A text laid out on pages. Line and page breaks are those of ReportLab for the same font and settings,
/// which Glyph's own rendering uses; pixels are close to poppler's. Not to be shared between threads: it
/// holds the fonts.
public final class TextDocument {
    private let settings: PageSettings
    private let pages: [[PlacedParagraph]]
    private let rasteriser: PageRasteriser

    /// The number of pages, at least one.
    public var pageCount: Int { pages.count }

    /// Characters that no font has, over all pages; each is drawn as a box.
    public let missingGlyphCount: Int

    /// Lays a text out.
    /// - Throws: `empty` for a text without visible characters, `tooLarge` beyond the limits, `settings` and
    ///   `font` for faults of the settings.
    public convenience init(
        text: String, settings: PageSettings = PageSettings(), limits: DocumentLimits = DocumentLimits()
    ) throws(DocumentError) {
        try self.init(text: text, settings: settings, limits: limits, measure: nil)
    }

    /// Lays a text out with what is known of the settings' fonts already; nil opens them.
    init(
        text: String, settings: PageSettings, limits: DocumentLimits, measure known: FontMeasure?
    ) throws(DocumentError) {
        try settings.validate()
        // Positions in a text are kept in 32 bits.
        let maxTextBytes = min(limits.maxTextBytes, Int(Int32.max))
        guard text.utf8.count <= maxTextBytes else {
            throw DocumentError(
                .tooLarge, "the text has \(text.utf8.count) bytes; the limit is \(maxTextBytes)")
        }
        let scalars = Self.normalised(text)
        guard scalars.contains(where: { !isWhiteSpace($0) && $0 != Ink.nonBreakingSpace }) else {
            throw DocumentError(.empty, "the document is empty: it has no visible characters")
        }
        let measure: FontMeasure
        if let known { measure = known } else { measure = try FontMeasure(settings) }
        let markup = try NewlineMarkup(parsing: settings.newlineMarkup)
        var palette = Palette(settings.fontColour)
        var composer = PageComposer(
            settings, pageLimit: min(max(1, limits.maxPages), DocumentLimits.maxPagesEver), measure)
        let wrapsCJK = scalars.contains { (0x4E00...0x9FFF).contains($0) }
        var lines = SourceLines(scalars)
        var more = true
        var characterCount = 0
        while more {
            var builder = FragmentBuilder()
            for number in 0..<PageSettings.linesPerBatch {
                guard let line = lines.next() else {
                    more = false
                    break
                }
                if number > 0 { builder.append(markup, palette: &palette) }
                builder.append(line: line)
            }
            if !more && lines.lastBatchIsEmpty { break }
            characterCount += builder.text.inks.count
            guard characterCount <= maxTextBytes else {
                throw DocumentError(
                    .tooLarge,
                    "text and newline-markup have more than \(maxTextBytes) characters; shorten either"
                )
            }
            try composer.append(
                try Paragraph(
                    builder.text, wrapsCJK: wrapsCJK, firstLineIndent: settings.firstLineIndent, measure))
        }
        self.settings = settings
        pages = composer.pages
        rasteriser = PageRasteriser(settings, palette: palette.colours, measure)
        missingGlyphCount = Self.countMissing(pages, measure)
    }

    /// Draws one page, cropped as the settings say. Throws `outOfMemory`.
    /// - Precondition: `0 <= index < pageCount`.
    public func page(_ index: Int) throws(DocumentError) -> RGBImage {
        precondition(pages.indices.contains(index))
        // The page, the page scaled to at most this width, and what is left when it is cropped.
        let size = settings.pagePixels
        let drawn = size.width * size.height * 3
        let scaled = Int(Double(drawn) * max(settings.horizontalScale, 1))
        try HostBuffer.require(byteCount: drawn + 2 * scaled, for: "the pixels of a page")
        let image = rasteriser.draw(pages[index])
        return PageCrop(settings, isLastPage: index == pages.count - 1).apply(to: image)
    }

    /// The lines of a page with their baselines (points from the page's bottom), for tests.
    func lines(ofPage index: Int) -> [(text: String, baseline: Double)] {
        pages[index].flatMap { paragraph in
            paragraph.lines.map { line in
                var text = ""
                for ink in line.inks { text.unicodeScalars.append(Unicode.Scalar(ink.scalar) ?? "\u{FFFD}") }
                return (text, paragraph.baseline(of: line, settings))
            }
        }
    }

    /// Newlines made one, soft hyphens and zero-width spaces removed.
    private static func normalised(_ text: String) -> [UInt32] {
        var scalars: [UInt32] = []
        scalars.reserveCapacity(text.utf8.count)
        var afterReturn = false
        for scalar in text.unicodeScalars {
            switch scalar.value {
            case 0x0D: scalars.append(0x0A)
            case 0x0A where afterReturn, 0xAD, 0x200B: break
            default: scalars.append(scalar.value)
            }
            afterReturn = scalar.value == 0x0D
        }
        return scalars
    }

    private static func countMissing(_ pages: [[PlacedParagraph]], _ measure: FontMeasure) -> Int {
        var count = 0
        for page in pages {
            for paragraph in page {
                for line in paragraph.lines {
                    for ink in line.inks where measure.character(ink.scalar).isMissing { count += 1 }
                }
            }
        }
        return count
    }
}

/// The lines of a text, without their newlines.
private struct SourceLines {
    private let scalars: [UInt32]
    private var position: Int? = 0
    private var taken = 0

    init(_ scalars: [UInt32]) {
        self.scalars = scalars
    }

    /// Whether the lines ended exactly with a batch, so that the batch begun after it has none.
    var lastBatchIsEmpty: Bool { taken % PageSettings.linesPerBatch == 0 }

    mutating func next() -> ArraySlice<UInt32>? {
        guard let start = position else { return nil }
        var end = start
        while end < scalars.count && scalars[end] != 0x0A { end += 1 }
        position = end < scalars.count ? end + 1 : nil
        taken += 1
        return scalars[start..<end]
    }
}
