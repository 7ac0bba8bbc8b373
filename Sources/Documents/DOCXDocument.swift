//! A DOCX as text: its paragraphs, headings, lists and tables in order, and what of it is not shown.

/// Reads a DOCX.
enum DOCXDocument {
    /// The text of the document: headers once at the top, the body, notes and footers at the end.
    ///
    /// Tracked insertions count as made, deletions too. What is hidden (hidden text, white on white, two
    /// points or smaller, hidden rows) is left out and counted, as are pictures and comments.
    /// - Throws: `malformed`, `unsupported`, `tooLarge`, `empty` and `outOfMemory`.
    static func text(
        of bytes: [UInt8], limits: DocumentLimits = DocumentLimits()
    ) throws(DocumentError) -> ExtractedText {
        let package = try DOCXPackage(bytes)
        let relations = try package.relations(of: package.main)
        func parts(_ kind: String) -> [String] {
            Set(relations.values.filter { $0.kind == kind }.compactMap(\.target)).sorted()
        }
        func reader(_ kind: String) throws(DocumentError) -> XMLReader? {
            guard let name = parts(kind).first else { return nil }
            return try package.reader(of: name)
        }
        let styles = try reader("styles").map { (reader) throws(DocumentError) in try DOCXStyles(reader) }
        let numbering = try reader("numbering").map { (reader) throws(DocumentError) in
            try DOCXNumbering(reader)
        }
        let story = DOCXStory(
            styles: styles ?? DOCXStyles(), numbering: numbering ?? DOCXNumbering(),
            maxBytes: limits.maxTextBytes)
        guard let main = try package.reader(of: package.main) else {
            throw DocumentError(.malformed, "the DOCX is damaged: its document is not in it")
        }
        let body = try story.blocks(of: main)
        var text = BlockText(maxBytes: limits.maxTextBytes)
        func append(_ blocks: [DOCXBlock]) throws(DocumentError) {
            for block in blocks { try text.append(block.kind, block.text) }
        }
        func appendOnce(_ kind: String) throws(DocumentError) {
            var seen: Set<[DOCXBlock]> = []
            for name in parts(kind) {
                guard let reader = try package.reader(of: name) else { continue }
                let blocks = try story.blocks(of: reader)
                if seen.insert(blocks).inserted { try append(blocks) }
            }
        }
        try appendOnce("header")
        try append(body)
        for (kind, element, ids) in [
            ("footnotes", "footnote", story.footnotes), ("endnotes", "endnote", story.endnotes),
        ] {
            guard !ids.isEmpty, let reader = try reader(kind) else { continue }
            try append(try story.notes(of: reader, element, ids))
        }
        try appendOnce("footer")
        guard !text.text.isEmpty else {
            throw DocumentError(
                .empty,
                (["the DOCX has no visible text"] + story.tally.notes).joined(separator: "; "))
        }
        return ExtractedText(text: text.text, notes: story.tally.notes)
    }
}

/// A block of a DOCX, as text.
struct DOCXBlock: Hashable {
    var kind: BlockText.Kind
    var text: String
}

/// What of a DOCX is not in its text, or not as it was written.
struct DOCXTally {
    var hiddenWords = 0
    var pictures = 0
    var objects = 0
    var comments = 0
    var deletions = 0
    var insertions = 0
    var inserts = 0

    /// A sentence for each that there is.
    var notes: [String] {
        var notes: [String] = []
        func note(_ count: Int, _ noun: String) { if count > 0 { notes.append(leftOut(count, noun)) } }
        if hiddenWords > 0 {
            notes.append(
                leftOut(hiddenWords, "hidden word")
                    + " (hidden text, white on white, hidden rows, or of two points or less)")
        }
        note(deletions, "tracked deletion")
        if insertions > 0 {
            notes.append(
                "\(counted(insertions, "tracked insertion")) \(insertions == 1 ? "is" : "are") in the text")
        }
        note(comments, "comment")
        note(pictures, "picture")
        note(objects, "embedded object")
        note(inserts, "inserted file")
        return notes
    }
}
