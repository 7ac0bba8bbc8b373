//! Fuzzes the reading of what poppler's programs write, who read what nobody vouches for.

@testable import Documents

/// Input: one byte, the width of a picture, then a list of words.
struct PDFListTarget: FuzzTarget {
    func run(_ input: [UInt8]) -> Bool {
        var reader = InputReader(input)
        let side = Int(reader.byte() % 16) + 1
        let rest = reader.remainder()
        var raster = Netpbm(rest)
        while let picture = raster.nextColour() {
            expect(picture.pixels.count == picture.width * picture.height * 3, "pixels are missing")
        }
        var pages = PDFPageWords.parse(rest)
        let orders = PDFDrawnOrder.parse(rest)
        let isAccepted = pages.contains { !$0.blocks.isEmpty }
        for page in pages.indices {
            // A hyphen may go where a line ends; spaces come and go.
            func letters(_ text: String) -> [Unicode.Scalar] {
                text.unicodeScalars.filter {
                    !isWhiteSpace($0.value) && ![0x2D, 0xAD, 0x2010].contains($0.value)
                }
                .sorted()
            }
            let words = pages[page].blocks.joined().joined().map(\.text).joined()
            let texts = PDFParagraphs(pages[page]).texts.joined()
            expect(letters(words) == letters(texts), "characters of a page were lost")
            // The list's own order, and its words from the last to the first.
            var backward = PDFDrawnOrder()
            for word in pages[page].blocks.joined().joined().reversed() { backward.append(word) }
            for order in [orders[page], backward] {
                let texts = PDFParagraphs(pages[page], drawn: order).texts.joined()
                expect(letters(words) == letters(texts), "characters of a page were lost as it is drawn")
            }
            let count = pages[page].blocks.joined().joined().count
            let picture = GreyPicture(
                width: side, height: side, samples: (0..<side * side).map { $0 < side ? 0 : 255 })
            let unseen = pages[page].removeUnseen(on: picture)
            expect(pages[page].blocks.joined().joined().count == count - unseen, "words are counted wrongly")
        }
        return isAccepted
    }
}
