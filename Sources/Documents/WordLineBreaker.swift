//! Breaking lines between words, one line at a time so that a page costs no more than its own lines.

/// The words of one paragraph with the characters they refer to.
struct WordText {
    let inks: [Ink]
    let words: [Word]
    /// Whether the paragraph is a single fragment; ReportLab breaks those by a shorter path with its own
    /// rounding.
    let isPlain: Bool

    init(_ text: FragmentedText, _ measure: FontMeasure) {
        inks = text.inks
        isPlain = text.fragments.count <= 1
        words =
            isPlain
            ? text.plainWords { measure.width(of: $0) } : text.words { measure.width(of: $0) }
    }
}

/// Breaks a paragraph into lines greedily, as ReportLab's `breakLines` does: spaces may shrink by 5 % to
/// take one more word, and words longer than a line are cut.
struct WordLineBreaker {
    private let text: WordText
    private let widths: LineWidths
    private let measure: FontMeasure
    private let spaceWidth: Double
    private var lineNumber = 0
    /// The next word to place.
    private var position: TextPosition
    /// What the next line reports as its start. After a line break this is the break itself, so that a
    /// paragraph which is cut there begins its next page with an empty line: ReportLab does so.
    private var nextStart: TextPosition
    private var lineStart: TextPosition
    /// Whether the next word was moved down from the line before; such a word is not cut again.
    private var isCarried = false

    init(_ text: WordText, from position: TextPosition, widths: LineWidths, _ measure: FontMeasure) {
        self.text = text
        self.widths = widths
        self.measure = measure
        self.position = position
        nextStart = position
        lineStart = position
        spaceWidth = measure.width(of: Ink.space)
    }

    /// The next line, or nil at the paragraph's end.
    mutating func next() -> BrokenLine? {
        lineStart = nextStart
        return text.isPlain ? nextPlain() : nextStyled()
    }

    // MARK: Paragraphs of several fragments

    private mutating func nextStyled() -> BrokenLine? {
        let maxWidth = widths[lineNumber]
        var line = LineInProgress()
        while position.word < text.words.count {
            let word = text.words[position.word]
            if word.isBreak {
                let broken = finish(line, extraSpace: maxWidth - line.width, endsAtBreak: true)
                nextStart = position
                position = TextPosition(word: position.word + 1)
                return broken
            }
            let (range, width) = remainder(of: word, maxWidth)
            let newWidth = width > 0 ? line.width + line.pendingSpace + width : line.width
            let shrinkable = line.pendingSpace + Double(line.spaces) * spaceWidth
            if !isCarried && newWidth > maxWidth + shrinkable * spaceShrinkage {
                if width > maxWidth {
                    return cut(word, range, line, maxWidth)
                }
                if line.wordCount > 0 {
                    isCarried = true
                    nextStart = position
                    return finish(line, extraSpace: maxWidth - line.width)
                }
            }
            line.append(word, text.inks[range], width: newWidth)
            if isCarried { line.wordCount = 1 }
            line.pendingSpace = word.endsWithSpace ? spaceWidth : 0
            isCarried = false
            position = TextPosition(word: position.word + 1)
            nextStart = position
        }
        return line.hasWords ? finish(line, extraSpace: maxWidth - line.width) : nil
    }

    /// Ends the line with as much of a long word as fits.
    private mutating func cut(
        _ word: Word, _ range: Range<Int>, _ started: LineInProgress, _ maxWidth: Double
    ) -> BrokenLine {
        var line = started
        let (end, width) = fittingPiece(
            of: text.inks, range, used: 0, limit: maxWidth - line.pendingSpace - line.width,
            next: widths[lineNumber + 1], measure)
        let newWidth = width > 0 ? line.width + line.pendingSpace + width : line.width
        line.append(word, text.inks[range.lowerBound..<end], width: newWidth)
        continueAfter(end, of: range)
        return finish(line, extraSpace: maxWidth - newWidth)
    }

    // MARK: Paragraphs of one fragment

    private mutating func nextPlain() -> BrokenLine? {
        let maxWidth = widths[lineNumber]
        var line = LineInProgress()
        // Starts a space short, so that the first word needs no exception.
        line.width = -spaceWidth
        while position.word < text.words.count {
            let (range, width) = remainder(of: text.words[position.word], maxWidth)
            let newWidth = line.width + spaceWidth + width
            let limit = maxWidth + spaceShrinkage * spaceWidth * Double(line.wordCount)
            if !isCarried && newWidth > limit {
                if width > maxWidth {
                    let (end, pieceWidth) = fittingPiece(
                        of: text.inks, range, used: line.width + spaceWidth, limit: maxWidth,
                        next: widths[lineNumber + 1], measure)
                    let cutWidth = line.width + spaceWidth + pieceWidth
                    if end > range.lowerBound { line.appendPlain(text.inks[range.lowerBound..<end]) }
                    continueAfter(end, of: range)
                    return finish(line, extraSpace: maxWidth - cutWidth)
                }
                if line.wordCount > 0 {
                    isCarried = true
                    nextStart = position
                    return finish(line, extraSpace: maxWidth - line.width)
                }
            }
            line.appendPlain(text.inks[range])
            line.width = isCarried ? width : newWidth
            isCarried = false
            position = TextPosition(word: position.word + 1)
            nextStart = position
        }
        return line.hasWords ? finish(line, extraSpace: maxWidth - line.width) : nil
    }

    // MARK: Both

    /// What of a word is still to come, and its width.
    private func remainder(of word: Word, _ maxWidth: Double) -> (Range<Int>, Double) {
        guard let ink = position.ink else { return (word.inks, word.width) }
        let range = ink..<word.inks.upperBound
        return (range, widthUpTo(maxWidth, of: text.inks, range, measure))
    }

    private mutating func continueAfter(_ end: Int, of range: Range<Int>) {
        position =
            end == range.upperBound
            ? TextPosition(word: position.word + 1) : TextPosition(word: position.word, ink: end)
        nextStart = position
    }

    private mutating func finish(
        _ line: LineInProgress, extraSpace: Double, endsAtBreak: Bool = false
    ) -> BrokenLine {
        lineNumber += 1
        return BrokenLine(
            inks: line.inks, extraSpace: extraSpace, gaps: line.wordCount + line.nonBreakingSpaces - 1,
            endsAtBreak: endsAtBreak, isBlank: !line.hasWords, start: lineStart)
    }
}

/// A line that is being filled.
private struct LineInProgress {
    var inks: [Ink] = []
    /// The width of what is on the line, in points.
    var width = 0.0
    /// The width of the space that the last word asks for.
    var pendingSpace = 0.0
    /// Words with characters.
    var wordCount = 0
    var spaces = 0
    var nonBreakingSpaces = 0
    /// Whether any word is on the line, even an empty one.
    var hasWords = false
    private var endsWithSpace = false
    private var lastColour: UInt8 = 0

    /// Adds a word, or the piece of it in `piece`, after the space that is due.
    mutating func append(_ word: Word, _ piece: ArraySlice<Ink>, width newWidth: Double) {
        if hasWords && pendingSpace > 0 && !endsWithSpace {
            inks.append(Ink(Ink.space, colour: lastColour))
            spaces += 1
            endsWithSpace = true
        }
        let continuesFragment = hasWords && word.firstColour == lastColour && !word.isCompound
        endsWithSpace = continuesFragment && piece.isEmpty && endsWithSpace
        write(piece)
        width = newWidth
        wordCount += piece.isEmpty ? 0 : 1
        lastColour = word.lastColour
        hasWords = true
    }

    /// Adds a word of a single-fragment paragraph after one space.
    mutating func appendPlain(_ piece: ArraySlice<Ink>) {
        if hasWords { inks.append(Ink(Ink.space, colour: 0)) }
        write(piece)
        wordCount += 1
        hasWords = true
    }

    private mutating func write(_ piece: ArraySlice<Ink>) {
        inks.append(contentsOf: piece)
        for ink in piece where ink.scalar == Ink.nonBreakingSpace { nonBreakingSpaces += 1 }
    }
}
