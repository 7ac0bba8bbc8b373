//! How text becomes pages: Glyph's own settings, and the two of ours.

/// Where a paragraph's lines sit between its edges.
public enum Alignment: String, Sendable, Codable, CaseIterable {
    /// Flush left.
    case left = "LEFT"
    /// Centred.
    case center = "CENTER"
    /// Flush right.
    case right = "RIGHT"
    /// Both edges, by wider spaces.
    case justify = "JUSTIFY"
}

/// How glyphs are put on the pixel grid.
public enum GlyphPlacement: String, Sendable, Codable, CaseIterable {
    /// Unhinted outlines at quarter-pixel pen positions and whole-pixel baselines, as poppler draws a PDF.
    case subpixel
    /// Hinted glyphs at whole pixels, the pen advanced by whole hinted pixels, as PIL's basic layout draws
    /// text.
    case pixel
}

/// The settings of page rendering, with the names of Glyph's `config_en.json`; lengths are points (1/72
/// inch) unless said otherwise. Defaults are those of the published English configuration with DejaVu Sans.
public struct PageSettings: Sendable, Equatable {
    /// `page-size`: width and height, written `"595,842"`.
    public var pageSize: (width: Double, height: Double) {
        get { (pageWidth, pageHeight) }
        set { (pageWidth, pageHeight) = newValue }
    }
    var pageWidth = 595.0
    var pageHeight = 842.0
    /// `dpi`: pixels per inch.
    public var dpi = 72.0
    /// `margin-x`: left and right margin; a frame padding of 6 points is added to it.
    public var marginX = 10.0
    /// `margin-y`: top and bottom margin; a frame padding of 6 points is added to it.
    public var marginY = 10.0
    /// `font-path`: a font file, or the name of one in the usual font directories.
    public var fontPath = "DejaVuSans.ttf"
    /// `font-index`: the face within a collection (`.ttc`).
    public var fontIndex = 0
    /// `font-fallback`: font files tried in order for characters that the first font lacks.
    public var fontFallback: [String] = []
    /// `font-size`.
    public var fontSize = 9.0
    /// `line-height`: from baseline to baseline.
    public var lineHeight = 10.0
    /// `font-color`.
    public var fontColour = Colour.black
    /// `alignment`.
    public var alignment = Alignment.left
    /// `horizontal-scale`: the finished page is resized to this share of its width.
    public var horizontalScale = 1.0
    /// `first-line-indent`: of each paragraph (a batch of 30 source lines).
    public var firstLineIndent = 0.0
    /// `left-indent`.
    public var leftIndent = 0.0
    /// `right-indent`.
    public var rightIndent = 0.0
    /// `space-before`: above a paragraph that does not start its page.
    public var spaceBefore = 0.0
    /// `space-after`: below a paragraph.
    public var spaceAfter = 0.0
    /// `border-width`: of the line around each paragraph; zero draws none.
    public var borderWidth = 0.0
    /// `border-padding`: by which a paragraph's background and border exceed it.
    public var borderPadding = 0.0
    /// `page-bg-color`.
    public var pageBackground = Colour.white
    /// `para-bg-color`.
    public var paragraphBackground = Colour.white
    /// `para-border-color`.
    public var paragraphBorder = Colour.white
    /// `auto-crop-width`: cut the page right of the last inked column and the margin.
    public var autoCropWidth = true
    /// `auto-crop-last-page`: cut the last page below its last inked row and the margin.
    public var autoCropLastPage = true
    /// `newline-markup`: what stands for a newline within a batch: `<br/>`, or for one flowing text the
    /// visible marker `<font color="#FF0000"> \n </font>` (a backslash and an n).
    public var newlineMarkup = "<br/>"
    /// `glyph-placement`.
    public var glyphPlacement = GlyphPlacement.subpixel

    /// The default settings.
    public init() {}

    /// The padding that the page frame adds inside each margin, in points.
    static let framePadding = 6.0
    /// Source lines in a paragraph.
    static let linesPerBatch = 30

    /// Pixels per point.
    var scale: Double { dpi / 72 }

    /// The frame's width in points, before indents.
    var frameWidth: Double { (pageWidth - 2 * marginX) - 2 * Self.framePadding }

    /// The page's size in whole pixels, rounded up.
    var pagePixels: (width: Int, height: Int) {
        // Multiplied before divided, so that 840 points at 150 dpi are 1750 pixels and no fraction more.
        (
            Int((throughPDF(pageWidth) * dpi / 72).rounded(.up)),
            Int((throughPDF(pageHeight) * dpi / 72).rounded(.up))
        )
    }
}

// MARK: - Limits

extension PageSettings {
    /// Checks every number against its limits and the page against its margins.
    /// - Throws: `settings`, naming the key, its value and what it may be.
    public func validate() throws(DocumentError) {
        try check("page-size (width)", pageWidth, 36...14_400)
        try check("page-size (height)", pageHeight, 36...14_400)
        try check("dpi", dpi, 18...1_200)
        try check("margin-x", marginX, 0...5_000)
        try check("margin-y", marginY, 0...5_000)
        try check("font-size", fontSize, 1...400)
        try check("line-height", lineHeight, 1...2_000)
        try check("horizontal-scale", horizontalScale, 0.1...4)
        try check("first-line-indent", firstLineIndent, -5_000...5_000)
        try check("left-indent", leftIndent, 0...5_000)
        try check("right-indent", rightIndent, 0...5_000)
        try check("space-before", spaceBefore, 0...5_000)
        try check("space-after", spaceAfter, 0...5_000)
        try check("border-width", borderWidth, 0...100)
        try check("border-padding", borderPadding, 0...1_000)
        try check("font-index", Double(fontIndex), 0...65_535)
        let pixels = pagePixels
        let limit = DocumentLimits.maxPagePixels
        if Double(pixels.width) * Double(pixels.height) * max(1, horizontalScale) > Double(limit) {
            throw DocumentError(
                .settings,
                "page-size at \(dpi) dpi is \(pixels.width) x \(pixels.height) pixels; the limit is "
                    + "\(limit) in all: lower dpi")
        }
        let later = frameWidth - leftIndent - rightIndent
        if later < fontSize || later - firstLineIndent < fontSize {
            throw DocumentError(
                .settings,
                "margin-x \(marginX), the indents and 2 x \(Self.framePadding) points of padding leave no "
                    + "room for a character of \(fontSize) points on a page \(pageWidth) points wide")
        }
        if pageHeight - 2 * (marginY + Self.framePadding) < 2 * lineHeight {
            throw DocumentError(
                .settings,
                "margin-y \(marginY) and 2 x \(Self.framePadding) points of padding leave less "
                    + "than two lines of \(lineHeight) points on a page \(pageHeight) points high")
        }
        let mostFonts = DocumentLimits.maxFallbackFonts
        if fontFallback.count > mostFonts {
            throw DocumentError(
                .settings, "font-fallback names \(fontFallback.count) fonts; the limit is \(mostFonts)")
        }
        _ = try NewlineMarkup(parsing: newlineMarkup)
    }

    private func check(_ key: String, _ value: Double, _ range: ClosedRange<Double>) throws(DocumentError) {
        guard range.contains(value) else {
            throw DocumentError(
                .settings, "\(key) is \(value); it must be from \(range.lowerBound) to \(range.upperBound)")
        }
    }
}
