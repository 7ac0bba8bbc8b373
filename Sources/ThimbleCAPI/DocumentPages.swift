//! A caller's document: opened with the page settings that count, and its pages one after the other.

internal import CThimble
internal import Thimble

/// The pages of a document that the caller has asked for.
@safe struct DocumentPages {
    let document: PagedDocument
    private let receiveNote: thimble_note_fn?
    private let noteContext: UnsafeMutableRawPointer?

    /// How pages are set where neither the caller nor a budget says, and whether a model was trained on such.
    struct Defaults {
        var settings = PageSettings()
        var prefersGlyph = false
    }

    /// Opens the document. Its own settings count before the budget's `[pages]`, those before the defaults'.
    init(
        _ document: UnsafePointer<thimble_document>?, _ budget: Budget,
        defaults: () throws(ThimbleError) -> Defaults
    ) throws(CallFault) {
        guard unsafe document != nil else { throw .null("document") }
        let asked = try unsafe read(document, over: thimble_document(), "document")
        let isInMemory = unsafe asked.bytes != nil
        let bytes = try unsafe Array(elements(asked.bytes, asked.byte_count, "document.bytes"))
        let path =
            try unsafe isInMemory
            ? text(asked.path, "document.path") ?? "the document"
            : requiredText(asked.path, "document.path")
        let settingsPath = try unsafe text(asked.page_settings, "document.page_settings")
        let font = try unsafe text(asked.font, "document.font")
        let mode = try unsafe ReadingMode.named(asked.mode)
        let (first, count) = unsafe (Int(asked.first_page), Int(asked.page_count))
        var (total, end) = (0, 0)
        let opened = try translating { () throws(ThimbleError) in
            let defaults = try defaults()
            let settings = try defaults.settings.settled(file: settingsPath, budget, font: font)
            let choose = { (pageCount: Int) in
                (total, end) = (pageCount, count == 0 ? pageCount : first + count)
                return first < end && end <= pageCount ? Array(first..<end) : []
            }
            if isInMemory {
                return try PagedDocument(
                    bytes: bytes, name: path, settings: settings, mode: mode,
                    prefersGlyph: defaults.prefersGlyph, choosing: choose)
            }
            return try PagedDocument(
                // A file of that name, where a program's user would mean standard input.
                path: path == "-" ? "./-" : path, settings: settings, mode: mode,
                prefersGlyph: defaults.prefersGlyph, choosing: choose)
        }
        guard first < total, end <= total else {
            throw .argument(
                THIMBLE_DETAIL_RANGE,
                "\(path) has \(total) pages, and not those from \(first) on that are asked for")
        }
        self.document = opened
        unsafe (receiveNote, noteContext) = unsafe (asked.receive_note, asked.note_context)
    }

    /// Tells the caller what was left out or is damaged, of the pages drawn so far.
    func tellNotes() {
        guard let receiveNote = unsafe receiveNote else { return }
        for note in document.notes { unsafe note.withCString { unsafe receiveNote(noteContext, $0) } }
    }
}

extension ReadingMode {
    /// The mode of that number; nil for what is left to the document and the model.
    fileprivate static func named(_ mode: thimble_reading_mode) throws(CallFault) -> ReadingMode? {
        if mode == THIMBLE_READING_DEFAULT { return nil }
        guard let named = allCases.first(where: { $0.number == mode }) else {
            throw .argument(THIMBLE_DETAIL_RANGE, "document.mode is \(mode.rawValue), which is none")
        }
        return named
    }

    /// Its number.
    var number: thimble_reading_mode {
        switch self {
        case .page: THIMBLE_READING_PAGE
        case .glyph: THIMBLE_READING_GLYPH
        case .text: THIMBLE_READING_TEXT
        }
    }
}
