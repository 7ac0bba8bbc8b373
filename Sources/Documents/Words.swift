//! A paragraph's fragments to the words that line breaking moves about.

/// One word: a range of inks that stays together unless it is longer than a line. The rules are those of
/// ReportLab's fragment words, including the empty words that white space at a fragment's edge leaves behind.
struct Word {
    /// The width in points.
    var width: Double
    /// Kept in 32 bits: a text of letters and spaces has half as many words as characters.
    var inks: Range<Int> {
        get { Int(start)..<Int(end) }
        set { (start, end) = (UInt32(newValue.lowerBound), UInt32(newValue.upperBound)) }
    }
    private var start: UInt32
    private var end: UInt32
    /// The colours of its first and last fragment; they may differ from the inks' where a fragment gave
    /// nothing.
    var firstColour: UInt8
    var lastColour: UInt8
    /// Whether more than one fragment gave to it.
    var isCompound: Bool
    /// Whether its first fragment gave no characters.
    var startsEmpty: Bool
    /// Whether a space follows.
    var endsWithSpace: Bool
    var isBreak: Bool

    init(
        width: Double, inks: Range<Int>, firstColour: UInt8, lastColour: UInt8, isCompound: Bool,
        startsEmpty: Bool, endsWithSpace: Bool, isBreak: Bool
    ) {
        self.width = width
        start = UInt32(inks.lowerBound)
        end = UInt32(inks.upperBound)
        self.firstColour = firstColour
        self.lastColour = lastColour
        self.isCompound = isCompound
        self.startsEmpty = startsEmpty
        self.endsWithSpace = endsWithSpace
        self.isBreak = isBreak
    }
}

extension FragmentedText {
    /// The words of a paragraph of several fragments.
    func words(_ measure: (ArraySlice<Ink>) -> Double) -> [Word] {
        var builder = WordBuilder(inks: inks)
        for fragment in fragments {
            if fragment.isBreak {
                builder.appendBreak(fragment)
            } else {
                builder.append(fragment, measure)
            }
        }
        builder.endWord(withSpace: false)
        if builder.words.isEmpty, let first = fragments.first {
            let start = first.inks.lowerBound
            builder.words.append(
                Word(
                    width: 0, inks: start..<start, firstColour: first.colour, lastColour: first.colour,
                    isCompound: false, startsEmpty: true, endsWithSpace: false, isBreak: false))
        }
        return builder.words
    }

    /// The words of a paragraph that is a single fragment: split at white space, nothing else.
    func plainWords(_ measure: (ArraySlice<Ink>) -> Double) -> [Word] {
        var words: [Word] = []
        for piece in splitAtSpaces(inks, 0..<inks.count) where !piece.isEmpty {
            words.append(
                Word(
                    width: measure(inks[piece]), inks: piece, firstColour: 0, lastColour: 0,
                    isCompound: false,
                    startsEmpty: false, endsWithSpace: true, isBreak: false))
        }
        return words
    }
}

/// The ranges between runs of spaces, with an empty range before a leading and after a trailing run.
private func splitAtSpaces(_ inks: [Ink], _ range: Range<Int>) -> [Range<Int>] {
    var pieces: [Range<Int>] = []
    var start = range.lowerBound
    var position = start
    while position < range.upperBound {
        if inks[position].scalar != Ink.space {
            position += 1
            continue
        }
        pieces.append(start..<position)
        while position < range.upperBound && inks[position].scalar == Ink.space { position += 1 }
        start = position
    }
    pieces.append(start..<range.upperBound)
    return pieces
}

private struct WordBuilder {
    let inks: [Ink]
    var words: [Word] = []
    private var open: Word?
    /// True at the start and after a line break: white space there belongs to no line.
    private var stripsLeading = true

    init(inks: [Ink]) {
        self.inks = inks
    }

    mutating func appendBreak(_ fragment: Fragment) {
        endWord(withSpace: false)
        words.append(
            Word(
                width: 0, inks: fragment.inks, firstColour: fragment.colour, lastColour: fragment.colour,
                isCompound: false, startsEmpty: true, endsWithSpace: false, isBreak: true))
        stripsLeading = true
    }

    mutating func append(_ fragment: Fragment, _ measure: (ArraySlice<Ink>) -> Double) {
        var range = fragment.inks
        if stripsLeading {
            while let first = range.first, inks[first].scalar == Ink.space {
                range = first + 1..<range.upperBound
            }
            if range.isEmpty { return }
            stripsLeading = false
        }
        var pieces = splitAtSpaces(inks, range)
        // Text that holds a non-breaking space is split by another rule, which keeps the empty pieces at its
        // edges.
        if !inks[range].contains(where: { $0.scalar == Ink.nonBreakingSpace }) {
            pieces.removeAll { $0.isEmpty }
        }
        let empty = range.lowerBound..<range.lowerBound
        if inks[range.lowerBound].scalar == Ink.space || pieces.isEmpty {
            let followsSpace = open == nil && words.last?.endsWithSpace == true
            endWord(withSpace: false)
            if !followsSpace {
                pieces.insert(empty, at: 0)
            } else if pieces.isEmpty {
                return
            }
        }
        for (number, piece) in pieces.enumerated() {
            extend(with: piece, of: fragment, measure)
            if number < pieces.count - 1 || inks[range.upperBound - 1].scalar == Ink.space {
                endWord(withSpace: true)
            }
        }
    }

    private mutating func extend(
        with piece: Range<Int>, of fragment: Fragment, _ measure: (ArraySlice<Ink>) -> Double
    ) {
        let width = measure(inks[piece])
        guard var word = open else {
            open = Word(
                width: width, inks: piece, firstColour: fragment.colour, lastColour: fragment.colour,
                isCompound: false, startsEmpty: piece.isEmpty, endsWithSpace: false, isBreak: false)
            return
        }
        word.width += width
        // An empty start may lie before a space that the word does not hold.
        word.inks = (word.inks.isEmpty ? piece.lowerBound : word.inks.lowerBound)..<piece.upperBound
        word.lastColour = fragment.colour
        word.isCompound = true
        open = word
    }

    mutating func endWord(withSpace: Bool) {
        guard var word = open else { return }
        word.endsWithSpace = withSpace
        words.append(word)
        open = nil
    }
}
