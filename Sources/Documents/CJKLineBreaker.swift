//! Breaking lines between characters, for texts with Chinese characters.

/// One character of a paragraph that breaks anywhere, or a line break.
///
/// Every page breaks the rest of its paragraph again, so a unit is small, and knows its width.
struct CJKUnit {
    /// The ink, and the flags below in the bits that it leaves free.
    private var bits: UInt32
    /// The width in points.
    var advance: Double

    private static let hasInk: UInt32 = 1 << 21
    private static let breaksLine: UInt32 = 1 << 22
    private static let opensFragment: UInt32 = 1 << 23
    private static let flags = hasInk | breaksLine | opensFragment

    /// `ink` is nil for a line break without a character.
    init(ink: Ink?, isBreak: Bool, startsFragment: Bool, advance: Double) {
        bits = ink.map { $0.bits | Self.hasInk } ?? 0
        if isBreak { bits |= Self.breaksLine }
        if startsFragment { bits |= Self.opensFragment }
        self.advance = advance
    }

    var ink: Ink? {
        get { bits & Self.hasInk == 0 ? nil : Ink(bits: bits & ~Self.flags) }
        set { bits = bits & (Self.flags ^ Self.hasInk) | (newValue.map { $0.bits | Self.hasInk } ?? 0) }
    }

    var isBreak: Bool { bits & Self.breaksLine != 0 }

    var startsFragment: Bool {
        get { bits & Self.opensFragment != 0 }
        set { bits = newValue ? bits | Self.opensFragment : bits & ~Self.opensFragment }
    }
}

/// A paragraph that breaks between characters, as ReportLab's CJK wrapping has it.
///
/// What is left of such a paragraph after a page break is put together again from its broken lines and
/// broken anew: ReportLab then sets a space where a line ended. Page counts depend on it, so it is done here
/// too.
struct CJKText {
    private(set) var units: [CJKUnit]
    private let spaceAdvance: Double
    /// Whether the paragraph is one fragment, whose lines ReportLab trims of white space.
    let isPlain: Bool

    /// - Throws: `tooLarge` for a paragraph that is too long to be broken once for every page.
    init(_ text: FragmentedText, _ measure: FontMeasure) throws(DocumentError) {
        guard text.inks.count <= DocumentLimits.maxCJKParagraphCharacters else {
            throw DocumentError(
                .tooLarge,
                "\(PageSettings.linesPerBatch) lines have \(text.inks.count) characters, with Chinese "
                    + "among them; the limit is \(DocumentLimits.maxCJKParagraphCharacters): break lines")
        }
        var units: [CJKUnit] = []
        units.reserveCapacity(text.inks.count + text.fragments.count)
        for fragment in text.fragments {
            if fragment.isBreak {
                units.append(CJKUnit(ink: nil, isBreak: true, startsFragment: true, advance: 0))
            }
            for position in fragment.inks {
                units.append(
                    CJKUnit(
                        ink: text.inks[position], isBreak: false,
                        startsFragment: position == fragment.inks.lowerBound,
                        advance: measure.width(of: text.inks[position].scalar)))
            }
        }
        self.init(units: units, spaceAdvance: measure.width(of: Ink.space))
    }

    private init(units: [CJKUnit], spaceAdvance: Double) {
        self.units = units
        self.spaceAdvance = spaceAdvance
        let first = units.firstIndex(where: \.startsFragment)
        isPlain = first.map { !units[($0 + 1)...].contains(where: \.startsFragment) } ?? true
    }

    /// A line as ranges of units.
    struct Line {
        var units: Range<Int>
        var extraSpace: Double
        var endsAtBreak: Bool
        var isTrimmed: Bool
    }

    /// Breaks the paragraph into at most `limit` lines.
    func lines(widths: LineWidths, limit: Int) -> [Line] {
        let plain = isPlain
        var lines: [Line] = []
        var start = 0
        var used = 0.0
        var position = 0
        // A single break and nothing else is an empty paragraph.
        if plain && units.allSatisfy({ $0.ink == nil }) { return [] }
        while position < units.count && lines.count < limit {
            let unit = units[position]
            let maxWidth = widths[lines.count]
            position += 1
            used += unit.advance
            let isBreak = unit.isBreak && !plain
            guard isBreak || (used > maxWidth + 1e-6 && used > 0) else { continue }
            var extraSpace = maxWidth - used
            if !isBreak, let ink = unit.ink {
                extraSpace += stepBack(from: &position, lineStart: start, ink, unit.advance)
            }
            var range = start..<position
            if plain { range = trimmed(range) }
            lines.append(Line(units: range, extraSpace: extraSpace, endsAtBreak: isBreak, isTrimmed: plain))
            start = position
            used = 0
        }
        if used > 0 && lines.count < limit {
            let extraSpace = widths[lines.count] - used
            lines.append(
                Line(units: start..<units.count, extraSpace: extraSpace, endsAtBreak: false, isTrimmed: plain)
            )
        }
        return lines
    }

    /// Moves the end of an overfull line back: to a space or a CJK character where the line ends in another
    /// script (but not beyond half the line), and by one character unless that may not start a line.
    /// - Returns: the width that the line regains.
    private func stepBack(
        from position: inout Int, lineStart: Int, _ ink: Ink, _ advance: Double
    ) -> Double {
        var regained = 0.0
        var last = ink.scalar
        var lastAdvance = advance
        if last < 0x3000 {
            let limit = (lineStart + position) >> 1
            var candidate = position - 1
            while candidate > limit {
                let scalar = units[candidate].ink?.scalar ?? 0
                let isSpace = scalar == Ink.space || scalar == Ink.nonBreakingSpace
                if (isSpace || scalar >= 0x3000) && candidate + 1 < position {
                    let next = candidate + 1
                    for unit in units[(next + 1)..<position] {
                        regained += unit.advance
                    }
                    last = units[next].ink?.scalar ?? 0
                    lastAdvance = units[next].advance
                    position = next + 1
                    break
                }
                candidate -= 1
            }
        }
        if !Self.mayNotStartLine.contains(last) && position > lineStart + 1 {
            position -= 1
            regained += lastAdvance
        }
        return regained
    }

    private func trimmed(_ range: Range<Int>) -> Range<Int> {
        func isSpace(_ position: Int) -> Bool {
            let scalar = units[position].ink?.scalar
            return scalar == Ink.space || scalar == Ink.nonBreakingSpace
        }
        var start = range.lowerBound
        var end = range.upperBound
        while start < end && isSpace(start) { start += 1 }
        while start < end && isSpace(end - 1) { end -= 1 }
        return start..<end
    }

    /// The text of a line, ready to be drawn.
    func broken(_ line: Line) -> BrokenLine {
        let inks = units[line.units].compactMap(\.ink)
        let nonBreaking = inks.count { $0.scalar == Ink.nonBreakingSpace }
        return BrokenLine(
            inks: inks, extraSpace: line.extraSpace, gaps: nonBreaking, endsAtBreak: line.endsAtBreak,
            start: TextPosition())
    }

    /// The paragraph that the lines from one on make up, as ReportLab rebuilds it: each line but the last
    /// ends in a space, and a line break carries that space itself.
    func rebuilt(from lines: ArraySlice<Line>) -> CJKText {
        var rebuilt: [CJKUnit] = []
        rebuilt.reserveCapacity(
            (lines.last?.units.upperBound ?? 0) - (lines.first?.units.lowerBound ?? 0) + lines.count)
        for (number, line) in zip(lines.indices, lines) {
            if line.isTrimmed {
                for position in line.units {
                    var unit = units[position]
                    unit.startsFragment = rebuilt.isEmpty
                    rebuilt.append(unit)
                }
                continue
            }
            // Runs of one colour become one fragment; a break stays a fragment of its own.
            var runColour: UInt8?
            for position in line.units {
                var unit = units[position]
                let colour = unit.isBreak ? nil : unit.ink?.colour
                unit.startsFragment = colour == nil || colour != runColour
                runColour = colour
                rebuilt.append(unit)
            }
            guard number < lines.endIndex - 1, let last = rebuilt.last else { continue }
            let space = Ink(Ink.space, colour: last.ink?.colour ?? 0)
            if last.ink == nil {
                rebuilt[rebuilt.count - 1].ink = space
                rebuilt[rebuilt.count - 1].advance = spaceAdvance
            } else if last.ink?.scalar != Ink.space {
                rebuilt.append(
                    CJKUnit(ink: space, isBreak: last.isBreak, startsFragment: false, advance: spaceAdvance))
            }
        }
        return CJKText(units: rebuilt, spaceAdvance: spaceAdvance)
    }

    /// Closing punctuation, small kana and the like, which hang over the margin rather than start a line.
    private static let mayNotStartLine = Set(
        ("!',.:;?!\")]、。」』】〕］】）々―ぁぃぅぇぉっゃゅょゎァィゥェォッャュョヮーヵヶ゛゜・ヽヾゝゞ―‐°′″℃￠％‰")
            .unicodeScalars.map(\.value))
}
