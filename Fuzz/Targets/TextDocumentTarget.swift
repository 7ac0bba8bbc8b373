//! Fuzzes the layout of text on pages, and their drawing.

@testable import Documents
import FoundationEssentials

/// Input: one byte of choices, four of sizes, then the file's bytes. Pages are small, so that a short text
/// fills several.
struct TextDocumentTarget: FuzzTarget {
    private let limits = DocumentLimits(maxTextBytes: 4096, maxPages: 4)
    /// Opening a font takes longer than a page; a document shares what is known of it with the next one.
    private let measures: [FontMeasure]

    init() throws {
        measures = try [GlyphPlacement.subpixel, .pixel].map { placement in
            try FontMeasure(Self.settings(placement))
        }
    }

    /// Where no font is installed, the fuzzer brings one.
    private static let font = ProcessInfo.processInfo.environment["THIMBLE_FUZZ_FONT"]

    private static func settings(_ placement: GlyphPlacement) -> PageSettings {
        var settings = PageSettings()
        settings.fontPath = font ?? settings.fontPath
        settings.glyphPlacement = placement
        settings.dpi = 36
        settings.marginX = 0
        settings.marginY = 0
        return settings
    }

    func run(_ input: [UInt8]) -> Bool {
        var reader = InputReader(input)
        let choices = reader.byte()
        let placement = Int(choices & 1)
        var settings = Self.settings(placement == 0 ? .subpixel : .pixel)
        settings.alignment = Alignment.allCases[Int(choices >> 1 & 3)]
        settings.newlineMarkup =
            choices & 8 == 0 ? "<br/>" : ##"<font color="#FF0000"> \n </font>"##
        settings.horizontalScale = choices & 16 == 0 ? 1 : 0.5
        settings.autoCropWidth = choices & 16 == 0
        settings.autoCropLastPage = settings.autoCropWidth
        settings.borderWidth = choices & 32 == 0 ? 0 : 1
        settings.pageSize = (36 + Double(reader.byte()), 40 + Double(reader.byte()) / 2)
        settings.firstLineIndent = Double(Int8(bitPattern: reader.byte()) / 4)
        settings.spaceBefore = Double(reader.byte() / 8)
        guard case .text(let text)? = try? DocumentSource.load(bytes: reader.remainder(), name: "fuzz"),
            let document = try? TextDocument(
                text: text, settings: settings, limits: limits, measure: measures[placement])
        else { return false }
        expect((1...limits.maxPages).contains(document.pageCount), "\(document.pageCount) pages")
        if choices & 8 == 0 { checkNothingIsLost(document, text, measures[placement]) }
        // Drawing takes longer than the layout, so an eighth of the choices draw.
        guard choices >= 224, let image = try? document.page(document.pageCount - 1) else { return true }
        expect(image.pixels.count == image.width * image.height * 3, "pixels are missing")
        return true
    }

    /// Every visible character of the text stands on some page, in the same order. Marks without a width are
    /// not looked at: like ReportLab, a paragraph with Chinese characters drops those that are left alone for
    /// its last line.
    private func checkNothingIsLost(_ document: TextDocument, _ text: String, _ measure: FontMeasure) {
        var laidOut = String.UnicodeScalarView()
        for page in 0..<document.pageCount {
            for line in document.lines(ofPage: page) { laidOut.append(contentsOf: line.text.unicodeScalars) }
        }
        func visible(_ scalars: some Sequence<Unicode.Scalar>) -> [Unicode.Scalar] {
            scalars.filter { scalar in
                !isWhiteSpace(scalar.value) && ![0xA0, 0xAD, 0x200B].contains(scalar.value)
                    && measure.width(of: scalar.value) > 0
            }
        }
        expect(visible(laidOut) == visible(text.unicodeScalars), "characters were lost or moved")
    }
}
