//! Scanners for the split patterns: each call finds the end of one word.

extension SplitPattern {
    /// The end of the word that starts at `start`, which must lie in `bytes`. Words follow on each other
    /// without gaps, so calling this with each end in turn splits the whole text. The cost is linear in the
    /// word.
    func endOfWord(in bytes: Span<UInt8>, from start: Int) -> Int {
        switch self {
        case .gpt2: Self.endOfGPT2Word(in: bytes, from: start)
        case .singleNumbers: Self.endOfCaselessWord(in: bytes, from: start, maximumNumbers: 1)
        case .tripleNumbers: Self.endOfCaselessWord(in: bytes, from: start, maximumNumbers: 3)
        }
    }

    private static func endOfGPT2Word(in bytes: Span<UInt8>, from start: Int) -> Int {
        if let end = endOfContraction(in: bytes, from: start, caseless: false) { return end }
        let first = Glyph(bytes, at: start)
        if first.kind != .space { return endOfRun(of: first.kind, in: bytes, from: first.end) }
        if first.value == 0x20, first.end < bytes.count {
            let second = Glyph(bytes, at: first.end)
            if second.kind != .space { return endOfRun(of: second.kind, in: bytes, from: second.end) }
        }
        return WhiteSpaceRun(bytes, from: start).endWithoutLast
    }

    private static func endOfCaselessWord(
        in bytes: Span<UInt8>, from start: Int, maximumNumbers: Int
    ) -> Int {
        if let end = endOfContraction(in: bytes, from: start, caseless: true) { return end }
        let first = Glyph(bytes, at: start)
        switch first.kind {
        case .letter:
            return endOfRun(of: .letter, in: bytes, from: first.end)
        case .number:
            return endOfRun(of: .number, in: bytes, from: first.end, maximum: maximumNumbers - 1)
        case .other, .space:
            break
        }
        // One character that is no line break may lead a word of letters, and one space a run of others.
        if first.end < bytes.count, !first.isLineBreak {
            let second = Glyph(bytes, at: first.end)
            if second.kind == .letter { return endOfRun(of: .letter, in: bytes, from: second.end) }
            if first.value == 0x20, second.kind == .other {
                return endOfOthersAndLineBreaks(in: bytes, from: second.end)
            }
        }
        if first.kind == .other { return endOfOthersAndLineBreaks(in: bytes, from: first.end) }
        let run = WhiteSpaceRun(bytes, from: start)
        return run.endOfLastLineBreak ?? run.endWithoutLast
    }

    /// The end of `[^\s\p{L}\p{N}]*[\r\n]*`.
    private static func endOfOthersAndLineBreaks(in bytes: Span<UInt8>, from start: Int) -> Int {
        var end = endOfRun(of: .other, in: bytes, from: start)
        while end < bytes.count, bytes[end] == 0x0A || bytes[end] == 0x0D { end += 1 }
        return end
    }

    /// The end of a run of at most `maximum` characters of one class, which may be empty.
    private static func endOfRun(
        of kind: CharacterClass, in bytes: Span<UInt8>, from start: Int, maximum: Int = .max
    ) -> Int {
        var end = start
        var count = 0
        while end < bytes.count, count < maximum {
            let next = Glyph(bytes, at: end)
            guard next.kind == kind else { break }
            end = next.end
            count += 1
        }
        return end
    }

    /// The end of `'s|'t|'re|'ve|'m|'ll|'d` at `start`, or nil where there is none.
    ///
    /// Without regard to case, U+017F (long s, two bytes) is an s, as in Oniguruma's case folding; no other
    /// character beyond ASCII folds to one of these letters.
    private static func endOfContraction(
        in bytes: Span<UInt8>, from start: Int, caseless: Bool
    ) -> Int? {
        guard bytes[start] == UInt8(ascii: "'"), start + 1 < bytes.count else { return nil }
        // Setting 0x20 lowers an upper-case letter and makes no letter of anything else.
        let fold: UInt8 = caseless ? 0x20 : 0
        switch bytes[start + 1] | fold {
        case UInt8(ascii: "s"), UInt8(ascii: "t"), UInt8(ascii: "m"), UInt8(ascii: "d"):
            return start + 2
        case UInt8(ascii: "r"), UInt8(ascii: "v"):
            return followed(by: UInt8(ascii: "e"))
        case UInt8(ascii: "l"):
            return followed(by: UInt8(ascii: "l"))
        default:
            let isLongS =
                caseless && start + 2 < bytes.count && bytes[start + 1] == 0xC5
                && bytes[start + 2] == 0xBF
            return isLongS ? start + 3 : nil
        }

        func followed(by letter: UInt8) -> Int? {
            start + 2 < bytes.count && bytes[start + 2] | fold == letter ? start + 3 : nil
        }
    }
}

/// One character with its class.
private struct Glyph {
    /// The code point, or nil where the bytes are not UTF-8.
    let value: UInt32?
    let kind: CharacterClass
    /// The index of the byte after it.
    let end: Int

    @inline(__always)
    init(_ bytes: Span<UInt8>, at index: Int) {
        let scalar = UTF8Scalar(bytes, at: index)
        value = scalar.value
        kind = scalar.value.map { CharacterClass($0) } ?? .other
        end = index + scalar.byteCount
    }

    var isLineBreak: Bool { value == 0x0A || value == 0x0D }
}

/// A maximal run of white space.
private struct WhiteSpaceRun {
    /// Where the last line feed or carriage return of the run ends: the end of `\s*[\r\n]+`.
    private(set) var endOfLastLineBreak: Int?
    /// The end of `\s+(?!\S)|\s+`: a word that follows keeps the last white-space character of a longer run.
    let endWithoutLast: Int

    /// The run that starts at `start`, where white space must stand.
    init(_ bytes: Span<UInt8>, from start: Int) {
        var end = start
        var last = start
        while end < bytes.count {
            let next = Glyph(bytes, at: end)
            guard next.kind == .space else { break }
            last = end
            end = next.end
            if next.isLineBreak { endOfLastLineBreak = end }
        }
        endWithoutLast = end == bytes.count || last == start ? end : last
    }
}
