//! Markdown as the text that a person reads of it.

import CMarkdown

/// Reads Markdown: CommonMark with tables, task lists and struck-out text.
enum MarkdownDocument {
    /// The text, without marks: headings, paragraphs, lists with their numbers or bullets, tables a row a
    /// line, code as it stands. A link is its text, a picture its description. Of HTML the text is kept;
    /// comments, scripts and styles are left out and counted.
    /// - Throws: `tooLarge`, `empty`, `outOfMemory`.
    static func text(
        of markdown: String, limits: DocumentLimits = DocumentLimits()
    ) throws(DocumentError) -> ExtractedText {
        var markdown = markdown
        let size = markdown.utf8.count
        guard size <= DocumentLimits.maxMarkdownBytes else {
            throw DocumentError(
                .tooLarge,
                "it has \(size) bytes of Markdown; the limit is \(DocumentLimits.maxMarkdownBytes)")
        }
        let writer = MarkdownWriter(maxBytes: limits.maxTextBytes)
        let result = markdown.withUTF8 { bytes in
            unsafe bytes.withMemoryRebound(to: CChar.self) { text in
                unsafe parse(text, for: writer)
            }
        }
        if let fault = writer.fault { throw fault }
        guard result == 0 else { throw DocumentError(.outOfMemory, "no memory to read Markdown") }
        guard !writer.blocks.text.isEmpty else {
            throw DocumentError(
                .empty, (["the Markdown has no visible text"] + writer.notes).joined(separator: "; "))
        }
        return ExtractedText(text: writer.blocks.text, notes: writer.notes)
    }

    private static func parse(_ text: UnsafeBufferPointer<CChar>, for writer: MarkdownWriter) -> Int32 {
        var parser = MD_PARSER()
        parser.flags = UInt32(
            MD_FLAG_TABLES | MD_FLAG_STRIKETHROUGH | MD_FLAG_TASKLISTS | MD_FLAG_PERMISSIVEURLAUTOLINKS)
        unsafe parser.enter_block = { kind, detail, pointer in
            guard let writer = unsafe MarkdownWriter.at(pointer) else { return 1 }
            return unsafe writer.enter(kind, detail)
        }
        unsafe parser.leave_block = { kind, _, pointer in
            guard let writer = unsafe MarkdownWriter.at(pointer) else { return 1 }
            return writer.leave(kind)
        }
        unsafe parser.enter_span = { kind, _, pointer in
            if kind == MD_SPAN_IMG, let writer = unsafe MarkdownWriter.at(pointer) { writer.pictures += 1 }
            return 0
        }
        unsafe parser.leave_span = { _, _, _ in 0 }
        unsafe parser.text = { kind, text, size, pointer in
            guard let writer = unsafe MarkdownWriter.at(pointer) else { return 1 }
            return unsafe writer.take(kind, UnsafeRawBufferPointer(start: text, count: Int(size)))
        }
        return withExtendedLifetime(writer) {
            unsafe md_parse(
                text.baseAddress, MD_SIZE(text.count), &parser, Unmanaged.passUnretained(writer).toOpaque())
        }
    }
}
