//! The document's fonts as one: which face draws a character, and how wide it is.

/// The first font and its fallbacks, with what is known of each character.
final class FontMeasure {
    /// How one character is drawn.
    struct Character {
        /// The face's place in the chain.
        var face: UInt8
        /// The glyph in that face.
        var glyph: UInt32
        /// The advance in thousandths of an em.
        var units: Double
        /// Whether no font of the chain has the character.
        var isMissing: Bool
    }

    let faces: [FontFace]
    /// Points per em.
    let size: Double
    /// Pixels per em.
    let pixelSize: Double
    let placement: GlyphPlacement
    private let dpi: Double
    private var basic: [Character?] = Array(repeating: nil, count: 0x1_0000)
    private var supplementary: [UInt32: Character] = [:]

    init(_ settings: PageSettings) throws(DocumentError) {
        var faces = [
            try FontFace(path: try FontFile.locate(settings.fontPath), index: settings.fontIndex)
        ]
        for path in settings.fontFallback {
            faces.append(try FontFace(path: try FontFile.locate(path), index: 0))
        }
        self.faces = faces
        size = settings.fontSize
        pixelSize = settings.fontSize * settings.scale
        placement = settings.glyphPlacement
        dpi = settings.dpi
    }

    /// What is known of a character; looked up in the fonts once.
    func character(_ scalar: UInt32) -> Character {
        if scalar < 0x1_0000 {
            if let known = basic[Int(scalar)] { return known }
            let found = lookUp(scalar)
            basic[Int(scalar)] = found
            return found
        }
        if let known = supplementary[scalar] { return known }
        let found = lookUp(scalar)
        supplementary[scalar] = found
        return found
    }

    private func lookUp(_ scalar: UInt32) -> Character {
        // A non-breaking space is drawn as the space, whatever the font has for it.
        let wanted = scalar == Ink.nonBreakingSpace ? Ink.space : scalar
        for (number, face) in faces.enumerated() {
            let glyph = face.glyph(for: wanted)
            if glyph != 0 {
                return Character(
                    face: UInt8(number), glyph: glyph, units: units(of: glyph, in: face), isMissing: false)
            }
        }
        // What is invisible by its nature, a joiner or a variation selector, is not missed.
        let isInvisible = Unicode.Scalar(wanted)?.properties.isDefaultIgnorableCodePoint ?? false
        return Character(
            face: 0, glyph: 0, units: units(of: 0, in: faces[0]), isMissing: !isInvisible)
    }

    private func units(of glyph: UInt32, in face: FontFace) -> Double {
        switch placement {
        case .subpixel: face.advance(of: glyph)
        case .pixel: Double(face.hintedAdvance(of: glyph, pixelSize: pixelSize)) * 72 / dpi / size * 1000
        }
    }

    /// The width of one character in points.
    func width(of scalar: UInt32) -> Double {
        0.001 * size * character(scalar).units
    }

    /// The width of a run in points; units are summed first and scaled once, as ReportLab does, so that
    /// comparisons with a line's width fall the same way.
    func width(of inks: ArraySlice<Ink>) -> Double {
        var units = 0.0
        for ink in inks { units += character(ink.scalar).units }
        return 0.001 * size * units
    }
}
