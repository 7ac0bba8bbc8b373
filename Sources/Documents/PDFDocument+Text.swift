//! The text of a PDF's pages, without what nobody can see on them.

extension PDFDocument {
    /// The text of the pages `indexes`: in the order in which they are drawn where that is one of reading
    /// (`PDFReading`), else in the one that poppler finds; columns one after the other, lines as they are on
    /// the page, words joined that a hyphen parted at the end of a line.
    ///
    /// Each page is drawn small as well, and words that cannot be seen there - white on white, under a bar,
    /// without ink - are left out and counted. What lies outside of the page is not text of it.
    /// - Throws: `empty` where there is no text, and what `page` throws.
    /// - Precondition: indexes ascend and are those of pages.
    public func text(ofPages indexes: [Int]) throws(DocumentError) -> ExtractedText {
        var blocks = BlockText(maxBytes: limits.maxTextBytes)
        var (unseen, unseenPages, undrawn) = (0, [Int](), 0)
        for window in windows(of: indexes) {
            var pages = try words(ofPages: window)
            let pictures = try? small(pages: window)
            let orders = (try? drawnOrders(ofPages: window)) ?? []
            for (offset, index) in window.enumerated() where pages.indices.contains(offset) {
                if let pictures, pictures.indices.contains(offset) {
                    let count = pages[offset].removeUnseen(on: pictures[offset])
                    unseen += count
                    if count > 0 { unseenPages.append(index + 1) }
                } else {
                    undrawn += 1
                }
                let order = orders.indices.contains(offset) ? orders[offset] : nil
                for paragraph in PDFParagraphs(pages[offset], drawn: order).texts {
                    try blocks.append(.paragraph, paragraph)
                }
            }
        }
        var found: [String] = []
        if unseen > 0 {
            found.append(
                leftOut(unseen, "word")
                    + ", on \(listed(unseenPages)), for nobody can see them where they are drawn")
        }
        if undrawn > 0 {
            found.append(
                "\(counted(undrawn, "page")) could not be drawn, so no hidden text was looked for there")
        }
        guard !blocks.text.isEmpty else {
            let reason =
                unseen > 0
                ? "nobody can see its text where it is drawn: it is hidden, or its font is missing here"
                : "the PDF has no text: its pages are pictures"
            throw DocumentError(.empty, reason + "; read it with --mode page")
        }
        return ExtractedText(text: blocks.text, notes: found)
    }

    /// Pages that follow each other, so many that a run is worth its start and within its limits.
    private func windows(of indexes: [Int]) -> [Range<Int>] {
        var windows: [Range<Int>] = []
        for index in indexes {
            if let last = windows.last, last.upperBound == index, last.count < 16 {
                windows[windows.count - 1] = last.lowerBound..<index + 1
            } else {
                windows.append(index..<index + 1)
            }
        }
        return windows
    }

    private func words(ofPages window: Range<Int>) throws(DocumentError) -> [PDFPageWords] {
        let outcome = try run(
            .pdftotext, ["-bbox-layout", "-cropbox"] + arguments(window),
            outputLimit: DocumentLimits.maxWordListBytes, to: "read the text of \(title(window))")
        let pages = PDFPageWords.parse(outcome.output)
        guard outcome.status == 0, !pages.isEmpty else {
            throw DocumentError(.malformed, "the PDF is damaged: \(title(window)) cannot be read")
        }
        return pages
    }

    /// The words of the pages as they are drawn. Without them all is in poppler's order.
    private func drawnOrders(ofPages window: Range<Int>) throws(DocumentError) -> [PDFDrawnOrder] {
        let outcome = try run(
            .pdftotext, ["-raw", "-bbox", "-cropbox"] + arguments(window),
            outputLimit: DocumentLimits.maxWordListBytes, to: "read the order of \(title(window))")
        return PDFDrawnOrder.parse(outcome.output)
    }

    /// The pages in grey, 700 pixels along their longer side.
    private func small(pages window: Range<Int>) throws(DocumentError) -> [GreyPicture] {
        let outcome = try run(
            .pdftoppm, ["-gray", "-scale-to", "700", "-cropbox"] + arguments(window).dropLast(),
            outputLimit: window.count * (702 * 702 + 64), to: "draw \(title(window))")
        var raster = Netpbm(outcome.output)
        var pictures: [GreyPicture] = []
        while let picture = raster.nextGrey() { pictures.append(picture) }
        return pictures
    }

    private func arguments(_ window: Range<Int>) -> [String] {
        ["-f", String(window.lowerBound + 1), "-l", String(window.upperBound), "-", "-"]
    }

    private func title(_ window: Range<Int>) -> String {
        window.count == 1
            ? "page \(window.upperBound)" : "pages \(window.lowerBound + 1) to \(window.upperBound)"
    }
}

/// `page 3`, `pages 3, 5 and 6`, `pages 1, 2, 3 and 40 more`.
func listed(_ pages: [Int]) -> String {
    guard pages.count > 1 else { return "page \(pages.first ?? 0)" }
    let shown = pages.count > 4 ? pages.prefix(3) : pages.dropLast()
    let rest = pages.count > 4 ? "\(pages.count - 3) more" : "\(pages[pages.count - 1])"
    return "pages \(shown.map(String.init).joined(separator: ", ")) and \(rest)"
}
