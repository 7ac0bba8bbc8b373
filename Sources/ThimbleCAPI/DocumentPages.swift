//! A caller's document: opened with the page settings that count, and its pages one after the other.

internal import CThimble
internal import Thimble

/// The pages of a document that the caller has asked for.
struct DocumentPages {
    let document: PagedDocument
    let indexes: Range<Int>

    /// Opens the document. Its own settings count before the budget's `[pages]`, those before `settings`.
    init(
        _ document: UnsafePointer<thimble_document>?, _ budget: Budget,
        settings: () throws(ThimbleError) -> PageSettings
    ) throws(CallFault) {
        guard unsafe document != nil else { throw .null("document") }
        let asked = try unsafe read(document, over: thimble_document(), "document")
        let path = try unsafe requiredText(asked.path, "document.path")
        let settingsPath = try unsafe text(asked.page_settings, "document.page_settings")
        let font = try unsafe text(asked.font, "document.font")
        let opened = try translating { () throws(ThimbleError) in
            var settings =
                if let settingsPath { try loadPageSettings(path: settingsPath) } else { try settings() }
            if let json = budget.pageSettingsJSON { settings = try settings.overlaid(json: json) }
            settings.fontPath = font ?? settings.fontPath
            // A file of that name, where a program's user would mean standard input.
            return try PagedDocument(path: path == "-" ? "./-" : path, settings: settings)
        }
        let (first, count) = unsafe (Int(asked.first_page), Int(asked.page_count))
        let end = count == 0 ? opened.pageCount : first + count
        guard first < opened.pageCount, end <= opened.pageCount else {
            throw .argument(
                THIMBLE_DETAIL_RANGE,
                "\(path) has \(opened.pageCount) pages, and not those from \(first) on that are asked for")
        }
        self.document = opened
        indexes = first..<end
    }
}
