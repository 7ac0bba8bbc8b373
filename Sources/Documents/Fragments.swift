//! Source lines to a paragraph's fragments: escaping, non-breaking spaces, markup, and collapsing of white
//! space.

/// One character with the number of its colour in the document's palette, packed.
struct Ink: Equatable {
    let bits: UInt32

    init(_ scalar: UInt32, colour: UInt8) {
        bits = scalar | UInt32(colour) << 24
    }

    init(bits: UInt32) {
        self.bits = bits
    }

    var scalar: UInt32 { bits & 0x1F_FFFF }
    var colour: UInt8 { UInt8(bits >> 24) }

    static let space: UInt32 = 0x20
    static let nonBreakingSpace: UInt32 = 0xA0
}

/// A run of a paragraph that ReportLab's parser would deliver in one piece. The pieces matter: text is cut
/// into words within a fragment, and words continue across fragments that meet without white space.
struct Fragment: Equatable {
    /// The characters, as a range of the paragraph's inks; empty for a line break. Kept in 32 bits, for a
    /// text of nothing but entities has as many fragments as characters.
    var inks: Range<Int> {
        get { Int(start)..<Int(end) }
        set { (start, end) = (UInt32(newValue.lowerBound), UInt32(newValue.upperBound)) }
    }
    private var start: UInt32
    private var end: UInt32
    /// The palette number of the colour.
    var colour: UInt8
    var isBreak: Bool

    init(inks: Range<Int>, colour: UInt8, isBreak: Bool) {
        start = UInt32(inks.lowerBound)
        end = UInt32(inks.upperBound)
        self.colour = colour
        self.isBreak = isBreak
    }
}

/// The characters of one paragraph (a batch of source lines) and their division into fragments.
struct FragmentedText: Equatable {
    var inks: [Ink] = []
    var fragments: [Fragment] = []
}

/// What ReportLab takes for white space; runs of it collapse to one space.
func isWhiteSpace(_ scalar: UInt32) -> Bool {
    switch scalar {
    case 0x09...0x0D, 0x1C...0x20, 0x85, 0x1680, 0x2000...0x200B, 0x2028, 0x2029, 0x202F, 0x205F, 0x3000: true
    default: false
    }
}

/// Builds one paragraph's fragments from its source lines.
///
/// White space collapses before the markup is looked at, so a run ends at a tag or an entity, and a space
/// that is due is written where its run was.
struct FragmentBuilder {
    private(set) var text = FragmentedText()
    private var colour: UInt8 = 0
    private var spaceIsDue = false
    private var isEmpty = true
    private var fragmentIsOpen = false

    /// Adds one source line.
    mutating func append(line: ArraySlice<UInt32>) {
        var position = line.startIndex
        while position < line.endIndex {
            let scalar = line[position]
            if scalar == Ink.space {
                var end = position + 1
                while end < line.endIndex && line[end] == Ink.space { end += 1 }
                if end - position == 1 {
                    append(.scalar(scalar))
                } else {
                    for _ in position..<end { append(.entity(Ink.nonBreakingSpace)) }
                }
                position = end
                continue
            }
            switch scalar {
            case 0x26, 0x3C, 0x3E: append(.entity(scalar))
            default: append(.scalar(scalar))
            }
            position += 1
        }
    }

    /// Adds the markup between two source lines.
    mutating func append(_ markup: NewlineMarkup, palette: inout Palette) {
        for item in markup.items {
            switch item {
            case .colour(let value):
                flushSpace()
                colour = palette.index(of: value)
                fragmentIsOpen = false
            case .endColour:
                flushSpace()
                colour = 0
                fragmentIsOpen = false
            default: append(item)
            }
        }
    }

    private mutating func append(_ item: NewlineMarkup.Item) {
        if case .scalar(let scalar) = item, isWhiteSpace(scalar) {
            spaceIsDue = true
            return
        }
        flushSpace()
        switch item {
        case .scalar(let scalar):
            write(scalar)
        case .entity(let scalar):
            fragmentIsOpen = false
            write(scalar)
            fragmentIsOpen = false
        case .lineBreak:
            let end = text.inks.count
            text.fragments.append(Fragment(inks: end..<end, colour: colour, isBreak: true))
            fragmentIsOpen = false
        case .colour, .endColour:
            break
        }
    }

    /// Writes the one space that a run of white space collapses to, unless the run began the paragraph.
    private mutating func flushSpace() {
        if spaceIsDue && !isEmpty { write(Ink.space) }
        spaceIsDue = false
        isEmpty = false
    }

    private mutating func write(_ scalar: UInt32) {
        let start = text.inks.count
        text.inks.append(Ink(scalar, colour: colour))
        if fragmentIsOpen {
            text.fragments[text.fragments.count - 1].inks = text.fragments.last!.inks.lowerBound..<start + 1
        } else {
            text.fragments.append(Fragment(inks: start..<start + 1, colour: colour, isBreak: false))
            fragmentIsOpen = true
        }
    }
}

/// The colours of a document's text; number 0 is the settings' font colour.
struct Palette {
    private(set) var colours: [Colour]

    init(_ fontColour: Colour) {
        colours = [fontColour]
    }

    mutating func index(of colour: Colour) -> UInt8 {
        if let known = colours.firstIndex(of: colour) { return UInt8(known) }
        colours.append(colour)
        return UInt8(colours.count - 1)
    }
}
