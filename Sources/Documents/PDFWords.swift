//! What `pdftotext -bbox-layout` writes: pages of blocks of lines of words, each with its place.

import TextSearch

/// A word and the box around it, in points from the page's top left corner.
struct PDFWord: Equatable {
    var text: String
    var left: Double
    var top: Double
    var right: Double
    var bottom: Double

    var height: Double { bottom - top }
    var middle: Double { (top + bottom) / 2 }
}

/// The words of a page: blocks (columns, paragraphs, cells) in the order of reading, their lines, and the
/// words of these.
struct PDFPageWords {
    var width = 1.0
    var height = 1.0
    var blocks: [[[PDFWord]]] = []

    /// Reads what the program wrote: an element a line, so that a line says all of a word. What is no such
    /// line is passed over.
    static func parse(_ bytes: [UInt8]) -> [PDFPageWords] {
        var pages: [PDFPageWords] = []
        for line in bytes.split(separator: 0x0A) {
            let line = line.drop { $0 == 0x20 }
            if line.starts(with: "<word ".utf8) {
                guard !pages.isEmpty, let word = word(line) else { continue }
                let (page, block) = (pages.count - 1, pages[pages.count - 1].blocks.count - 1)
                guard block >= 0, !pages[page].blocks[block].isEmpty else { continue }
                let row = pages[page].blocks[block].count - 1
                pages[page].blocks[block][row].append(word)
            } else if line.starts(with: "<line ".utf8) {
                guard let page = pages.indices.last, let block = pages[page].blocks.indices.last else {
                    continue
                }
                pages[page].blocks[block].append([])
            } else if line.starts(with: "<block ".utf8) {
                guard let page = pages.indices.last else { continue }
                pages[page].blocks.append([])
            } else if line.starts(with: "<page ".utf8) {
                let sides = numbers(line)
                var page = PDFPageWords()
                if sides.count >= 2, sides[0] > 0, sides[1] > 0 {
                    (page.width, page.height) = (sides[0], sides[1])
                }
                pages.append(page)
            }
        }
        return pages
    }

    /// A word of the list; nil where it has no place or no letters.
    static func word(_ line: ArraySlice<UInt8>) -> PDFWord? {
        guard let open = line.firstIndex(of: UInt8(ascii: ">")) else { return nil }
        let box = numbers(line[..<open])
        var content = line[(open + 1)...]
        if let close = content.firstIndex(of: UInt8(ascii: "<")) { content = content[..<close] }
        guard box.count == 4, box.allSatisfy(\.isFinite) else { return nil }
        let text = cleaned(String(decoding: content, as: UTF8.self))
        guard !text.isEmpty else { return nil }
        return PDFWord(text: text, left: box[0], top: box[1], right: box[2], bottom: box[3])
    }

    /// The numbers between quotes.
    private static func numbers(_ line: ArraySlice<UInt8>) -> [Double] {
        let parts = line.split(separator: UInt8(ascii: "\""), omittingEmptySubsequences: false)
        return stride(from: 1, to: parts.count, by: 2).compactMap {
            Double(String(decoding: parts[$0], as: UTF8.self))
        }
    }

    /// What some characters stand for: ligatures, and codes of TeX's bitmap fonts, of which a PDF may say no
    /// more than the codes (in its older encoding, its newer one, and that of symbols).
    private static let spellings: [UInt32: String] = [
        0xFB00: "ff", 0xFB01: "fi", 0xFB02: "fl", 0xFB03: "ffi", 0xFB04: "ffl", 0xFB05: "st", 0xFB06: "st",
        0x0B: "ff", 0x0C: "fi", 0x0D: "fl", 0x0E: "ffi", 0x0F: "ffl",
        0x1B: "ff", 0x1C: "fi", 0x1D: "fl", 0x1E: "ffi", 0x1F: "ffl", 0x88: "\u{2022}",
    ]

    /// Letters for ligatures, and no control characters.
    private static func cleaned(_ escaped: String) -> String {
        var plain = ""
        for scalar in escaped.unicodeScalars {
            if let letters = spellings[scalar.value] {
                plain += letters
            } else if !(0..<0x20 ~= scalar.value || 0x7F..<0xA0 ~= scalar.value || scalar.value == 0xFEFF) {
                plain.unicodeScalars.append(scalar)
            }
        }
        var unescaped = ""
        for (index, piece) in plain.pieces(between: "&").enumerated() {
            if index == 0 {
                unescaped += piece
            } else if let (name, mark) = references.first(where: { piece.utf8.starts(with: $0.0.utf8) }) {
                unescaped += mark + String(decoding: piece.utf8.dropFirst(name.utf8.count), as: UTF8.self)
            } else {
                unescaped += "&" + piece
            }
        }
        return unescaped
    }

    /// What XML spells by a name, behind `&`.
    private static let references = [
        ("lt;", "<"), ("gt;", ">"), ("quot;", "\""), ("apos;", "'"), ("#39;", "'"), ("amp;", "&"),
    ]

    /// Takes out the words under which the drawn page is of one shade: what nobody can see there. Returns how
    /// many. The box is looked at without its upper and lower fifth, which may touch a neighbour.
    mutating func removeUnseen(on picture: GreyPicture) -> Int {
        var count = 0
        for block in blocks.indices {
            for line in blocks[block].indices {
                blocks[block][line].removeAll { word in
                    let inset = word.height / 5
                    let contrast = picture.contrast(
                        left: word.left / width, top: (word.top + inset) / height, right: word.right / width,
                        bottom: (word.bottom - inset) / height)
                    if contrast < Self.leastContrast { count += 1 }
                    return contrast < Self.leastContrast
                }
            }
            blocks[block].removeAll(where: \.isEmpty)
        }
        blocks.removeAll(where: \.isEmpty)
        return count
    }

    /// Of 255 shades: less is not seen on paper or a screen.
    private static let leastContrast = 16
}
