//! A PDF: how many pages it has, its pages as they are drawn, and its text.

import TextSearch

/// One PDF, read by poppler's programs, each run of which is a child that sees this document alone. Not to be
/// shared between threads: its runs share the position in the file.
public final class PDFDocument {
    /// The number of pages, at least one. Pages are drawn when they are asked for.
    public let pageCount: Int
    /// What is to be known of pages that were drawn, each a sentence without its end.
    public private(set) var notes: [String] = []
    private let file: SealedFile
    let limits: DocumentLimits
    /// Width and height in points as they are shown, of pages that were asked for.
    private var sizes: [Int: (width: Double, height: Double)] = [:]

    /// Looks at a PDF.
    /// - Throws: `malformed` for damage, `unsupported` where it needs a password or poppler-utils is missing,
    ///   `empty` without pages, `tooLarge`, `outOfMemory`.
    public init(bytes: [UInt8], limits: DocumentLimits = DocumentLimits()) throws(DocumentError) {
        guard bytes.count <= DocumentLimits.maxPDFBytes else {
            throw DocumentError(
                .tooLarge,
                "the PDF has \(bytes.count) bytes; the limit is \(DocumentLimits.maxPDFBytes)")
        }
        file = try SealedFile(bytes)
        self.limits = limits
        let outcome = try PopplerProgram.pdfinfo.run(
            ["-"], on: file, limits, outputLimit: DocumentLimits.maxReportBytes, to: "look at the PDF")
        if outcome.complaints.holds("Incorrect password") {
            throw DocumentError(
                .unsupported, "the PDF is protected by a password; save it without one, and read that")
        }
        // A title may spell anything, on lines of its own; what counts comes after it.
        let report = String(decoding: outcome.output, as: UTF8.self)
        let line = report.split(separator: "\n").last { $0.hasPrefix("Pages:") }
        guard outcome.status == 0, let count = line.flatMap({ Int($0.split(separator: " ").last ?? "") }),
            count >= 0
        else { throw DocumentError(.malformed, "the PDF is damaged: no pages are found in it") }
        guard count > 0 else { throw DocumentError(.empty, "the PDF has no pages") }
        guard count <= DocumentLimits.maxPDFPages else {
            throw DocumentError(
                .tooLarge, "the PDF has \(count) pages; the limit is \(DocumentLimits.maxPDFPages)")
        }
        pageCount = count
    }

    /// Throws `tooLarge` where more pages are wanted than are read of a document at once.
    public func require(pages count: Int) throws(DocumentError) {
        guard count <= limits.maxPages else {
            throw DocumentError(
                .tooLarge,
                "the PDF has \(pageCount) pages, and \(limits.maxPages) are read at most: choose some, as "
                    + "with --pages 1-\(limits.maxPages)")
        }
    }

    /// Draws a page as a person sees it, at `dpi` pixels per inch.
    /// - Throws: `tooLarge` for more pixels or work than the limits allow, `malformed`, `outOfMemory`.
    /// - Precondition: `0 <= index < pageCount`.
    public func page(_ index: Int, dpi: Double) throws(DocumentError) -> RGBImage {
        precondition((0..<pageCount).contains(index))
        let size = try size(ofPage: index)
        // Saturated, for a page may claim any size.
        let width = min((size.width * dpi / 72).rounded(.up), 1e9)
        let height = min((size.height * dpi / 72).rounded(.up), 1e9)
        guard width * height <= Double(DocumentLimits.maxPagePixels) else {
            throw DocumentError(
                .tooLarge,
                "page \(index + 1) is \(Int(width)) x \(Int(height)) pixels at \(dpi) dpi; the limit is "
                    + "\(DocumentLimits.maxPagePixels) in all; lower dpi in the page settings")
        }
        // A page is a pixel larger where poppler rounds otherwise.
        let most = (Int(width) + 1) * (Int(height) + 1) * 3 + 64
        try HostBuffer.require(byteCount: 2 * most, for: "the pixels of a page")
        let number = String(index + 1)
        let outcome = try run(
            .pdftoppm, ["-r", String(dpi), "-cropbox", "-f", number, "-l", number, "-"], outputLimit: most,
            to: "draw page \(number)")
        var raster = Netpbm(outcome.output)
        guard outcome.status == 0, let image = raster.nextColour() else {
            throw DocumentError(.malformed, "the PDF is damaged: page \(number) cannot be drawn")
        }
        if outcome.complaints.holds("Syntax Error") {
            note("page \(number) is damaged: what is drawn of it may not be all")
        }
        return image
    }

    /// A note for a kernel that cannot keep the programs from other files or calls: each a sentence.
    public static var missingConfinement: [String] {
        let missing = SandboxedProgram.missingConfinement
        guard !missing.isEmpty else { return [] }
        return [
            "this system has no \(missing.joined(separator: " and no ")), so the programs that read PDFs "
                + "are held by limits of memory, time and files alone"
        ]
    }

    /// Runs one of poppler's programs on this document.
    func run(
        _ program: PopplerProgram, _ arguments: [String], outputLimit: Int, to what: String
    ) throws(DocumentError) -> SandboxedProgram.Outcome {
        try program.run(arguments, on: file, limits, outputLimit: outputLimit, to: what)
    }

    private func note(_ sentence: String) {
        if !notes.contains(sentence) { notes.append(sentence) }
    }

    /// A page's size in points. Asks for those of the next pages, too.
    private func size(ofPage index: Int) throws(DocumentError) -> (width: Double, height: Double) {
        if let known = sizes[index] { return known }
        let last = min(index + 50, pageCount)
        let outcome = try run(
            .pdfinfo, ["-f", String(index + 1), "-l", String(last), "-"],
            outputLimit: DocumentLimits.maxReportBytes, to: "measure page \(index + 1)")
        var page = -1
        for line in String(decoding: outcome.output, as: UTF8.self).split(separator: "\n") {
            // Page    1 size:  595.276 x 841.89 pts (A4)
            // Page    1 rot:   90
            let words = line.split(separator: " ")
            guard words.count >= 4, words[0] == "Page", let number = Int(words[1]) else { continue }
            if words[2] == "size:", words.count >= 6, let width = Double(words[3]),
                let height = Double(words[5]), width > 0, height > 0
            {
                page = number - 1
                sizes[page] = (width, height)
            } else if words[2] == "rot:", page == number - 1, let turn = Int(words[3]), turn % 180 != 0,
                let size = sizes[page]
            {
                sizes[page] = (size.height, size.width)
            }
        }
        guard let size = sizes[index] else {
            throw DocumentError(.malformed, "the PDF is damaged: page \(index + 1) has no size")
        }
        return size
    }
}

/// Pictures one after the other, as `pdftoppm` writes them: P6 in colour, P5 in grey, 8 bits a sample.
struct Netpbm: ~Copyable {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    /// The next picture; nil where there is none, or another kind, or only a part.
    mutating func nextColour() -> RGBImage? {
        guard let picture = next("P6", channels: 3) else { return nil }
        return RGBImage(width: picture.width, height: picture.height, pixels: Array(picture.samples))
    }

    /// The next picture in grey.
    mutating func nextGrey() -> GreyPicture? {
        guard let picture = next("P5", channels: 1) else { return nil }
        return GreyPicture(width: picture.width, height: picture.height, samples: Array(picture.samples))
    }

    private mutating func next(
        _ magic: String, channels: Int
    ) -> (width: Int, height: Int, samples: ArraySlice<UInt8>)? {
        guard word() == magic, let width = word().flatMap({ Int($0) }),
            let height = word().flatMap({ Int($0) }),
            word() == "255", (1...(1 << 20)).contains(width), (1...(1 << 20)).contains(height)
        else { return nil }
        let (start, count) = (position, width * height * channels)
        guard bytes.count - start >= count else { return nil }
        position += count
        return (width, height, bytes[start..<start + count])
    }

    /// The next word of a header, and the one white space after it.
    private mutating func word() -> String? {
        guard let end = bytes[position...].firstIndex(where: { $0 == 0x20 || $0 == 0x0A }),
            end > position, end - position < 16
        else { return nil }
        defer { position = end + 1 }
        return String(decoding: bytes[position..<end], as: UTF8.self)
    }
}

/// A picture of greys, `[height, width]` bytes.
struct GreyPicture {
    let width: Int
    let height: Int
    let samples: [UInt8]

    /// The difference of the lightest and the darkest of the pixels that the rectangle touches; its ends are
    /// shares of the picture's sides, and what is outside of it does not count.
    func contrast(left: Double, top: Double, right: Double, bottom: Double) -> Int {
        func range(_ low: Double, _ high: Double, _ count: Int) -> Range<Int> {
            guard low.isFinite, high.isFinite else { return 0..<0 }
            let first = Int(min(max(low, 0), 1) * Double(count))
            let end = Int((min(max(high, 0), 1) * Double(count)).rounded(.up))
            return min(first, count)..<max(min(first, count), min(end, count))
        }
        let columns = range(left, right, width)
        var (least, most) = (UInt8.max, UInt8.min)
        for row in range(top, bottom, height) {
            for sample in samples[row * width + columns.lowerBound..<row * width + columns.upperBound] {
                least = min(least, sample)
                most = max(most, sample)
            }
        }
        return least > most ? 0 : Int(most) - Int(least)
    }
}
