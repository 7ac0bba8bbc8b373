//! Every limit on documents, images, page settings and fonts, in one place.

/// Limits on what a document may ask for. Those that a caller may set are its properties; the others stand
/// for all documents.
public struct DocumentLimits: Sendable, Equatable {
    /// The most bytes of text.
    public var maxTextBytes: Int
    /// The most pages.
    public var maxPages: Int
    /// The most seconds of the clock for a run of a program that reads a PDF.
    public var programSeconds: Int
    /// What an image's header may ask for.
    public var image: ImageLimits

    /// Limits; by default 16 MiB of text, 500 pages, a minute and the image limits' own defaults.
    ///
    /// 500 pages of the default settings hold about 5 MB of English and 8 MB of Chinese.
    public init(
        maxTextBytes: Int = 16 << 20, maxPages: Int = 500, programSeconds: Int = 60,
        image: ImageLimits = ImageLimits()
    ) {
        self.maxTextBytes = maxTextBytes
        self.maxPages = maxPages
        self.programSeconds = programSeconds
        self.image = image
    }

    /// The most bytes of a file: of a text, of a PDF, or of a picture, whose file is never much larger than
    /// its pixels.
    public var maxFileBytes: Int {
        let (pixelBytes, overflows) = image.maxPixels.multipliedReportingOverflow(by: 4)
        return max(maxTextBytes, Self.maxPDFBytes, overflows ? .max : pixelBytes)
    }

    /// More pages than this are refused whatever `maxPages` says, so that counts of lines cannot overflow.
    static let maxPagesEver = 1 << 20
    /// The most characters of one paragraph (30 source lines) that holds Chinese characters: every page it
    /// fills breaks the rest of it anew, so that its cost is their product.
    static let maxCJKParagraphCharacters = 3_000_000
    /// The most pixels that one page may have.
    static let maxPagePixels = 1 << 26
    /// The most bytes of page settings in JSON.
    package static let maxSettingsBytes = 1 << 20
    /// The most bytes of `newline-markup`.
    static let maxNewlineMarkupBytes = 256
    /// The most fonts in `font-fallback`.
    static let maxFallbackFonts = 15
    /// The most bytes of a font file, which is held in memory; the largest published ones have about 30 MB.
    static let maxFontBytes = 1 << 27
    /// The most pixels of one drawn glyph.
    static let maxGlyphPixels = 1 << 26
    /// Bytes of glyph bitmaps that are kept before all are dropped.
    static let glyphCacheBytes = 32 << 20
    /// The most bytes of a PDF, which the program that reads it may hold as a whole.
    static let maxPDFBytes = 1 << 27
    /// The most pages that a PDF may say it has; no more than `maxPages` are read at once.
    static let maxPDFPages = 1_000_000
    /// The most bytes of an archive (DOCX).
    static let maxArchiveBytes = 1 << 26
    /// The most files in an archive.
    static let maxArchiveEntries = 2_000
    /// The most bytes that the files of an archive unfold to.
    static let maxInflatedBytes = 1 << 26
    /// The most bytes that a byte of an archive's file may unfold to, beyond `freeInflatedBytes`.
    static let maxInflationRatio = 200
    /// Bytes to which a file of an archive may unfold whatever its ratio: short files say little.
    static let freeInflatedBytes = 1 << 20
    /// The most elements within one another in a part of a DOCX.
    static let maxXMLDepth = 200
    /// The most attributes of an element of a part: the parser compares each with each.
    static let maxXMLAttributes = 256
    /// The most bytes of a part without a tag's beginning: the parser looks back over them time and again.
    static let maxXMLStretch = 1 << 20
    /// The most seconds for the reading of all parts of a DOCX.
    static let maxDOCXSeconds = 20
    /// The most bytes of Markdown: its parser has no limit of time.
    static let maxMarkdownBytes = 1 << 22
    /// The most bytes of memory, code and libraries included, of a program that reads a PDF.
    static let maxProgramBytes = 1 << 29
    /// The most seconds of the processor for a run of such a program.
    static let maxProgramCPUSeconds = 20
    /// The most descriptors of such a program.
    static let maxProgramDescriptors = 32
    /// The most bytes that a program writes about 16 pages of words, and their places.
    static let maxWordListBytes = 1 << 27
    /// The most pieces of a page that its order of reading is looked for in: each is compared with each.
    static let maxPagePieces = 2_000
    /// The most bytes that a program writes about a PDF's pages and their sizes.
    static let maxReportBytes = 1 << 22
}

/// What an image's header may ask for, checked before any pixel memory is taken.
public struct ImageLimits: Sendable, Equatable {
    /// The most columns.
    public var maxWidth: Int
    /// The most rows.
    public var maxHeight: Int
    /// The most pixels.
    public var maxPixels: Int

    /// Limits; by default 65,535 a side and 67,108,864 pixels, which decode in at most 512 MiB: twice what
    /// an A4 page has at 600 dpi.
    public init(maxWidth: Int = 65_535, maxHeight: Int = 65_535, maxPixels: Int = 1 << 26) {
        self.maxWidth = maxWidth
        self.maxHeight = maxHeight
        self.maxPixels = maxPixels
    }
}
