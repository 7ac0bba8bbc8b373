//! The order in which a PDF draws the words of a page: a second witness of the order of reading.

/// Numbers of a page's words as the PDF draws them, one after the other. Programs mostly draw in the order of
/// reading, and know what poppler has to guess: which words are a line, however wide its spaces, and what a
/// cell holds. But nothing binds them to it: it counts only where it is a reading, see `PDFReading`.
struct PDFDrawnOrder {
    /// Where a word begins, by which those of two lists are known to be the same.
    private struct Corner: Hashable {
        let left: Double
        let top: Double
    }

    private var numbers: [Corner: Int] = [:]
    private var count = 0

    /// Reads what `pdftotext -raw -bbox` wrote: pages, and their words as they are drawn.
    static func parse(_ bytes: [UInt8]) -> [PDFDrawnOrder] {
        var pages: [PDFDrawnOrder] = []
        for line in bytes.split(separator: 0x0A) {
            let line = line.drop { $0 == 0x20 }
            if line.starts(with: "<word ".utf8) {
                guard let page = pages.indices.last, let word = PDFPageWords.word(line) else { continue }
                pages[page].append(word)
            } else if line.starts(with: "<page ".utf8) {
                pages.append(PDFDrawnOrder())
            }
        }
        return pages
    }

    /// Numbers the next word. What is drawn twice, as some programs do for bold, counts where it was first.
    mutating func append(_ word: PDFWord) {
        let corner = Corner(left: word.left, top: word.top)
        if numbers[corner] == nil { numbers[corner] = count }
        count += 1
    }

    /// A word, the number it is drawn as, and the block of poppler's that it is of.
    struct Drawn {
        let word: PDFWord
        let number: Int
        let block: Int
    }

    /// The words of `blocks` as they are drawn; nil where one of them is not known, as on pages that are
    /// turned.
    func words(of blocks: [[[PDFWord]]]) -> [Drawn]? {
        var words: [Drawn] = []
        for (number, block) in blocks.enumerated() {
            for word in block.joined() {
                guard let place = place(word) else { return nil }
                words.append(Drawn(word: word, number: place, block: number))
            }
        }
        return words.sorted { $0.number < $1.number }
    }

    /// Whether the words of `blocks` are drawn in just their order.
    func agrees(with blocks: [[[PDFWord]]]) -> Bool {
        var last = -1
        for word in blocks.joined().joined() {
            guard let place = place(word), place >= last else { return false }
            last = place
        }
        return true
    }

    private func place(_ word: PDFWord) -> Int? { numbers[Corner(left: word.left, top: word.top)] }
}
