//! Placed lines to pixels.

/// Draws pages with the document's fonts, keeping the bitmaps of glyphs that were drawn before.
final class PageRasteriser {
    private struct Key: Hashable {
        var glyph: UInt32
        var face: UInt8
        var quarter: UInt8
        var isMissing: Bool
    }

    private let settings: PageSettings
    private let palette: [Colour]
    private let measure: FontMeasure
    private let scale: Double
    private let transform: PageTransform
    private var cache: [Key: GlyphBitmap] = [:]
    private var cachedBytes = 0
    /// Faces with a glyph box (of the whole face, in pixels, with a margin of three) taller than this are
    /// drawn at whole pixels only; poppler's rasteriser does so.
    private static let tallGlyph = 50
    private let snapsToPixels: [Bool]

    init(_ settings: PageSettings, palette: [Colour], _ measure: FontMeasure) {
        self.settings = settings
        self.palette = palette
        self.measure = measure
        scale = settings.scale
        transform = PageTransform(settings)
        snapsToPixels = measure.faces.map { $0.boxHeight(pixelSize: measure.pixelSize) > Self.tallGlyph }
    }

    /// Draws the whole page.
    func draw(_ page: [PlacedParagraph]) -> RGBImage {
        let size = settings.pagePixels
        var image = RGBImage(width: size.width, height: size.height, filledWith: .white)
        // The background ends with the page, which a fraction of a pixel may leave short of the picture's
        // edge.
        fill(image: &image, 0, 0, settings.pageWidth, settings.pageHeight, settings.pageBackground)
        for paragraph in page {
            drawBackground(of: paragraph, on: &image)
            for line in paragraph.lines {
                switch settings.glyphPlacement {
                case .subpixel: drawSubpixel(line, of: paragraph, on: &image)
                case .pixel: drawPixel(line, of: paragraph, on: &image)
                }
            }
        }
        return image
    }

    // MARK: Text

    /// Pens move by unhinted advances; glyphs snap down to quarter pixels, baselines down to whole ones
    /// (poppler's rasteriser does both). Sums are taken in poppler's order: in points within the paragraph,
    /// line after line and character after character.
    private func drawSubpixel(_ line: PlacedLine, of paragraph: PlacedParagraph, on image: inout RGBImage) {
        let leading = throughPDF(settings.lineHeight)
        var y = throughPDF(paragraph.height - settings.fontSize)
        for _ in 0..<line.number { y -= leading }
        let row = Int(transform.row(y, from: paragraph.bottom).rounded(.down))
        let size = throughPDF(measure.size)
        let wordSpacing = throughPDF(line.wordSpacing)
        var x = line.shift + throughPDF(paragraph.indent)
        for ink in line.inks {
            let character = measure.character(ink.scalar)
            let column = transform.column(x, from: paragraph.frameLeft)
            let whole = column.rounded(.down)
            let quarter = snapsToPixels[Int(character.face)] ? 0 : Int((column - whole) * 4)
            draw(character, at: Int(whole), row, quarter: quarter, palette[Int(ink.colour)], on: &image)
            x += throughPDF(character.units) * 0.001 * size
            if isSpace(ink) { x += wordSpacing }
        }
    }

    /// Pens and baselines are whole pixels: a row's top is rounded, and the baseline lies the font's
    /// ascender below.
    private func drawPixel(_ line: PlacedLine, of paragraph: PlacedParagraph, on image: inout RGBImage) {
        let baseline = paragraph.baseline(of: line, settings)
        let top = ((settings.pageHeight - baseline - settings.fontSize) * scale).rounded()
        let row = Int(top) + measure.faces[0].ascender(pixelSize: measure.pixelSize)
        var x = ((paragraph.left + line.shift) * scale).rounded()
        for ink in line.inks {
            let character = measure.character(ink.scalar)
            draw(character, at: Int(x.rounded()), row, quarter: 0, palette[Int(ink.colour)], on: &image)
            x += (0.001 * measure.size * character.units * scale).rounded()
            if isSpace(ink) { x += line.wordSpacing * scale }
        }
    }

    private func isSpace(_ ink: Ink) -> Bool {
        ink.scalar == Ink.space || ink.scalar == Ink.nonBreakingSpace
    }

    private func draw(
        _ character: FontMeasure.Character, at column: Int, _ row: Int, quarter: Int, _ colour: Colour,
        on image: inout RGBImage
    ) {
        let key = Key(
            glyph: character.glyph, face: character.face, quarter: UInt8(quarter),
            isMissing: character.isMissing)
        let bitmap: GlyphBitmap
        if let known = cache[key] {
            bitmap = known
        } else {
            bitmap = render(character, quarter: quarter)
            if cachedBytes > DocumentLimits.glyphCacheBytes {
                cache.removeAll(keepingCapacity: true)
                cachedBytes = 0
            }
            cache[key] = bitmap
            cachedBytes += bitmap.coverage.count
        }
        if bitmap.width > 0 {
            image.blend(
                bitmap, left: column + bitmap.left, top: row - bitmap.top, colour, as: settings.glyphPlacement
            )
        }
    }

    private func render(_ character: FontMeasure.Character, quarter: Int) -> GlyphBitmap {
        let rendered = measure.faces[Int(character.face)].bitmap(
            of: character.glyph, pixelSize: measure.pixelSize, quarter: quarter,
            hinted: measure.placement == .pixel)
        if let rendered, !character.isMissing || rendered.width > 0 { return rendered }
        return character.isMissing
            ? missingBox(width: 0.001 * measure.pixelSize * character.units) : GlyphBitmap()
    }

    /// An empty box for a character that no font has, where the first font draws nothing for it.
    private func missingBox(width advance: Double) -> GlyphBitmap {
        let height = max(3, Int(measure.pixelSize * 0.7))
        // A broken font may give an advance of thousands of ems.
        let width = max(3, Int(min(max(advance, measure.pixelSize * 0.5), measure.pixelSize * 4)) - 1)
        var coverage = [UInt8](repeating: 0, count: width * height)
        for row in 0..<height {
            for column in 0..<width
            where row == 0 || row == height - 1 || column == 0 || column == width - 1 {
                coverage[row * width + column] = 255
            }
        }
        return GlyphBitmap(left: 0, top: height, width: width, height: height, coverage: coverage)
    }

    // MARK: Backgrounds

    /// Fills behind a paragraph and draws its border. The fill is drawn even where it has the page's colour:
    /// it cuts the descenders of the paragraph above, as it does on Glyph's pages.
    private func drawBackground(of paragraph: PlacedParagraph, on image: inout RGBImage) {
        let padding = settings.borderPadding
        let left = paragraph.left - padding
        let right = paragraph.left + paragraph.width + padding
        let bottom = paragraph.bottom - padding
        let top = paragraph.bottom + paragraph.height + padding
        fill(image: &image, left, bottom, right, top, settings.paragraphBackground)
        let border = settings.borderWidth
        if border > 0 {
            let half = border / 2
            let colour = settings.paragraphBorder
            fill(image: &image, left - half, top - half, right + half, top + half, colour)
            fill(image: &image, left - half, bottom - half, right + half, bottom + half, colour)
            fill(image: &image, left - half, bottom - half, left + half, top + half, colour)
            fill(image: &image, right - half, bottom - half, right + half, top + half, colour)
        }
    }

    /// Fills a rectangle given in points; edges go to the nearest pixel, and what has an extent keeps one
    /// pixel.
    private func fill(
        image: inout RGBImage, _ left: Double, _ bottom: Double, _ right: Double, _ top: Double,
        _ colour: Colour
    ) {
        func span(_ from: Double, _ to: Double, _ limit: Int) -> Range<Int> {
            let start = Int((from * scale + 0.5).rounded(.down))
            let end = max(Int((to * scale + 0.5).rounded(.down)), start + 1)
            return min(max(start, 0), limit)..<min(max(end, 0), limit)
        }
        image.fill(
            columns: span(left, right, image.width),
            rows: span(settings.pageHeight - top, settings.pageHeight - bottom, image.height), colour)
    }
}

extension RGBImage {
    /// Draws a glyph in a colour; what lies outside the picture is left out.
    mutating func blend(
        _ glyph: GlyphBitmap, left: Int, top: Int, _ colour: Colour, as placement: GlyphPlacement
    ) {
        let rows = max(0, -top)..<max(max(0, -top), min(glyph.height, height - top))
        let columns = max(0, -left)..<max(max(0, -left), min(glyph.width, width - left))
        guard !rows.isEmpty, !columns.isEmpty else { return }
        // Poppler cuts fractions off where it mixes colours, PIL rounds.
        let rounding = placement == .subpixel ? 0 : 127
        let start = (top * width + left) * 3
        let stride = width * 3
        let coverage = glyph.coverage.span
        var pixels = self.pixels.mutableSpan
        for row in rows {
            var position = start + row * stride + columns.lowerBound * 3
            for column in columns {
                let alpha = Int(coverage[row * glyph.width + column])
                if alpha != 0 {
                    pixels[position] = Self.mix(pixels[position], colour.red, alpha, rounding)
                    pixels[position + 1] = Self.mix(pixels[position + 1], colour.green, alpha, rounding)
                    pixels[position + 2] = Self.mix(pixels[position + 2], colour.blue, alpha, rounding)
                }
                position += 3
            }
        }
    }

    /// Fills a rectangle, which must lie within the picture.
    mutating func fill(columns: Range<Int>, rows: Range<Int>, _ colour: Colour) {
        guard !rows.isEmpty, !columns.isEmpty else { return }
        let row = Array(
            repeatElement([colour.red, colour.green, colour.blue], count: columns.count).joined())
        for number in rows {
            let start = (number * width + columns.lowerBound) * 3
            pixels.replaceSubrange(start..<start + row.count, with: row)
        }
    }

    /// `(255 - alpha)/255` of `under` and `alpha/255` of `over`.
    private static func mix(_ under: UInt8, _ over: UInt8, _ alpha: Int, _ rounding: Int) -> UInt8 {
        UInt8(((255 - alpha) * Int(under) + alpha * Int(over) + rounding) / 255)
    }
}
