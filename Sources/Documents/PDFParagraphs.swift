//! The words of a PDF's page as text: lines to paragraphs, cells to rows.

/// The blocks of a page as texts: what stands beside each other on one line, what goes on below on the next.
struct PDFParagraphs {
    private(set) var texts: [String] = []

    /// - Parameter order: in which the page is drawn, where that is known.
    init(_ page: PDFPageWords, drawn order: PDFDrawnOrder? = nil) {
        var last: [PDFWord]?
        for all in PDFReading.blocks(of: page, drawn: order) {
            let block = all.filter { !$0.isEmpty }
            guard let first = block.first, let end = block.last, let height = first.map(\.height).max() else {
                continue
            }
            let text = Self.text(of: block)
            if let last, let place = Self.relation(of: first, to: last, height), var joined = texts.popLast()
            {
                joined += place + text
                texts.append(joined)
            } else {
                texts.append(text)
            }
            last = end
        }
    }

    /// What stands between a block and the one before it: spaces where both share a line, a newline where one
    /// follows the other closely; nil where they are apart.
    private static func relation(of first: [PDFWord], to last: [PDFWord], _ height: Double) -> String? {
        guard let top = first.map(\.top).min(), let bottom = first.map(\.bottom).max(),
            let lastTop = last.map(\.top).min(), let lastBottom = last.map(\.bottom).max(),
            let lastRight = last.map(\.right).max(), let left = first.map(\.left).min()
        else { return nil }
        let overlap = min(bottom, lastBottom) - max(top, lastTop)
        if left >= lastRight, overlap > height / 2 { return "  " }
        return top >= lastTop && top - lastBottom < height * 0.55 ? "\n" : nil
    }

    private static func text(of block: [[PDFWord]]) -> String {
        var text = ""
        var isParted = false
        for (number, line) in block.enumerated() {
            var words = Self.joined(line)
            guard !words.isEmpty else { continue }
            if isParted {
                // The rest of the word, then the line's other words on their own.
                let rest = words.removeFirst()
                text += rest + (words.isEmpty ? "" : "\n")
            } else if !text.isEmpty {
                text += "\n"
            }
            isParted = false
            let next = block.dropFirst(number + 1).first { !$0.isEmpty }
            if let last = words.last, let start = next?.first?.text, Self.isParted(last, start) {
                words[words.count - 1] = Self.withoutHyphen(last)
                isParted = true
            }
            text += words.joined(separator: " ")
        }
        return text
    }

    static func withoutHyphen(_ word: String) -> String {
        String(String.UnicodeScalarView(word.unicodeScalars.dropLast()))
    }

    /// Whether a line's last word goes on in the next line.
    static func isParted(_ word: String, _ next: String) -> Bool {
        guard let hyphen = word.unicodeScalars.last, ["-", "\u{AD}", "\u{2010}"].contains(hyphen),
            let letter = word.dropLast().last, letter.isLetter, let start = next.first
        else { return false }
        return start.isLowercase
    }

    /// The words of a line; what touches is one, as where the font changes within it.
    private static func joined(_ line: [PDFWord]) -> [String] {
        var words: [String] = []
        var last: PDFWord?
        for word in line {
            let gap = last.map { word.left - $0.right } ?? .infinity
            if abs(gap) < word.height * 0.05, var joined = words.popLast() {
                joined += word.text
                words.append(joined)
            } else {
                words.append(word.text)
            }
            last = word
        }
        return words
    }
}
