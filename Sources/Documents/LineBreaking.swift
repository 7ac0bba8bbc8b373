//! What the line breakers share: lines, positions in a paragraph, and widths.

/// The widths that lines of a paragraph may have, in points: the first differs by the first line's indent.
struct LineWidths {
    var first: Double
    var later: Double

    subscript(line: Int) -> Double { line == 0 ? first : later }
}

/// One line as it will be drawn.
struct BrokenLine {
    var inks: [Ink]
    /// What the line leaves of its width; negative where spaces must shrink or punctuation hangs over.
    var extraSpace: Double
    /// The spaces that justification or shrinking is spread over.
    var gaps: Int
    /// Whether a line break in the text ended it, so that it is not justified.
    var endsAtBreak: Bool
    /// Whether it holds no words at all, not even empty ones.
    var isBlank = false
    /// Where the line begins: the position from which a paragraph continues on the next page.
    var start: TextPosition

    /// Whether the spaces must shrink for the line to fit.
    var isTight: Bool { extraSpace <= -1e-8 }
}

/// A position in a paragraph: a word, and within it the first ink that is still to come.
struct TextPosition: Equatable {
    var word = 0
    /// The first ink of a word that earlier lines have begun; nil where the word is whole.
    var ink: Int?
}

/// How far a space may shrink so that one more word fits.
let spaceShrinkage = 0.05

/// Takes the characters of a long word that fit on a line.
/// - Parameters:
///   - used: what the line has used up before the word, in points.
///   - limit: the line's width.
///   - next: the width of the next line; a first character that fits there is not forced onto this line.
/// - Returns: the end of the piece, and its width.
func fittingPiece(
    of inks: [Ink], _ range: Range<Int>, used: Double, limit: Double, next: Double, _ measure: FontMeasure
) -> (end: Int, width: Double) {
    var lineWidth = used
    var width = 0.0
    for position in range {
        let advance = measure.width(of: inks[position].scalar)
        let isFirst = position == range.lowerBound
        if lineWidth + advance > limit && (!isFirst || advance <= next) {
            return (position, width)
        }
        lineWidth += advance
        width += advance
    }
    return (range.upperBound, width)
}

/// The width of what a long word has left, but no more of it than shows that it exceeds a line.
func widthUpTo(
    _ limit: Double, of inks: [Ink], _ range: Range<Int>, _ measure: FontMeasure
) -> Double {
    var width = 0.0
    for position in range {
        width += measure.width(of: inks[position].scalar)
        if width > limit { break }
    }
    return width
}
