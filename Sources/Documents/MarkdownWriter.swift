//! Takes what the parser of Markdown finds, in order, and writes it as text.

import CMarkdown

/// Takes what the parser finds, in order, and writes it as text.
final class MarkdownWriter {
    private(set) var blocks: BlockText
    /// Why the parser was told to stop.
    private(set) var fault: DocumentError?
    var pictures = 0
    private var hiddenPieces = 0
    /// The text of the block at hand.
    private var text = ""
    private var cells: [String] = []
    /// The numbers of the lists around the place at hand; nil for bullets.
    private var lists: [Int?] = []
    /// What begins the next block of an item.
    private var mark: String?
    private var quoteDepth = 0
    private var isInHTMLBlock = false

    init(maxBytes: Int) { blocks = BlockText(maxBytes: maxBytes) }

    static func at(_ pointer: UnsafeMutableRawPointer?) -> MarkdownWriter? {
        unsafe pointer.map { unsafe Unmanaged<MarkdownWriter>.fromOpaque($0).takeUnretainedValue() }
    }

    /// What was left out: each a sentence without its end.
    var notes: [String] {
        var notes: [String] = []
        if hiddenPieces > 0 {
            notes.append(leftOut(hiddenPieces, "hidden part") + " (comments, scripts and styles of HTML)")
        }
        if pictures > 0 { notes.append(leftOut(pictures, "picture") + ", but for what describes it") }
        return notes
    }

    /// 0 goes on, 1 stops the parser.
    func enter(_ kind: MD_BLOCKTYPE, _ detail: UnsafeMutableRawPointer?) -> Int32 {
        switch kind {
        case MD_BLOCK_QUOTE:
            flush(.paragraph)
            quoteDepth += 1
        case MD_BLOCK_UL:
            flush(.item)
            lists.append(nil)
        case MD_BLOCK_OL:
            flush(.item)
            let start = unsafe detail?.assumingMemoryBound(to: MD_BLOCK_OL_DETAIL.self).pointee.start
            lists.append(Int(start ?? 1))
        case MD_BLOCK_LI:
            let number = lists.last ?? nil
            mark = number.map { "\($0)." } ?? "\u{2022}"
            if let number { lists[lists.count - 1] = number + 1 }
            if let item = unsafe detail?.assumingMemoryBound(to: MD_BLOCK_LI_DETAIL.self).pointee,
                item.is_task != 0
            {
                mark? += item.task_mark == 0x20 ? " [ ]" : " [x]"
            }
        case MD_BLOCK_TR: cells = []
        case MD_BLOCK_HTML:
            flush(.paragraph)
            isInHTMLBlock = true
        case MD_BLOCK_P, MD_BLOCK_H, MD_BLOCK_CODE, MD_BLOCK_TABLE: flush(.item)
        default: break
        }
        return fault == nil ? 0 : 1
    }

    func leave(_ kind: MD_BLOCKTYPE) -> Int32 {
        switch kind {
        case MD_BLOCK_H: flush(.heading)
        case MD_BLOCK_P: flush(lists.isEmpty ? .paragraph : .item)
        case MD_BLOCK_CODE:
            flush(.paragraph)
        case MD_BLOCK_HTML:
            isInHTMLBlock = false
            let plain = HTMLText(text)
            hiddenPieces += plain.hiddenPieces
            text = plain.text
            flush(.paragraph)
        case MD_BLOCK_LI:
            flush(.item)
            mark = nil
        case MD_BLOCK_UL, MD_BLOCK_OL: _ = lists.popLast()
        case MD_BLOCK_QUOTE: quoteDepth -= 1
        case MD_BLOCK_TH, MD_BLOCK_TD:
            cells.append(String(text.map { $0 == "\n" ? " " : $0 }))
            text = ""
        case MD_BLOCK_TR:
            text = cells.joined(separator: " | ")
            cells = []
            flush(.row)
        default: break
        }
        return fault == nil ? 0 : 1
    }

    func take(_ kind: MD_TEXTTYPE, _ bytes: UnsafeRawBufferPointer) -> Int32 {
        switch kind {
        case MD_TEXT_NULLCHAR: text += "\u{FFFD}"
        case MD_TEXT_BR: text += "\n"
        case MD_TEXT_SOFTBR: text += " "
        case MD_TEXT_ENTITY: text += HTMLText.character(unsafe String(decoding: bytes, as: UTF8.self))
        case MD_TEXT_HTML:
            let piece = unsafe String(decoding: bytes, as: UTF8.self)
            // Within a paragraph a tag comes by itself; a block is looked at as a whole.
            if isInHTMLBlock {
                text += piece
            } else if piece.hasPrefix("<!--") {
                hiddenPieces += 1
            } else if piece.lowercased().hasPrefix("<br") {
                text += "\n"
            }
        default: text += unsafe String(decoding: bytes, as: UTF8.self)
        }
        if cells.count > 1 << 16 || text.utf8.count > 1 << 24 {
            fault = DocumentError(.tooLarge, "the Markdown has a block of more than 16 MiB")
        }
        return fault == nil ? 0 : 1
    }

    /// Ends the block at hand: puts it behind its mark, or below the text of its item.
    private func flush(_ kind: BlockText.Kind) {
        defer { text = "" }
        guard fault == nil,
            text.unicodeScalars.contains(where: { !isWhiteSpace($0.value) }) || mark?.contains("[") == true
        else { return }
        var prefix = String(repeating: "> ", count: min(quoteDepth, 8))
        var rest = prefix
        if !lists.isEmpty {
            let indent = String(repeating: "  ", count: min(lists.count - 1, 16))
            prefix += indent + (mark.map { $0 + " " } ?? "  ")
            rest += indent + "  "
        }
        mark = nil
        while text.hasSuffix("\n") { text.removeLast() }
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        let block = prefix + lines.joined(separator: "\n" + rest)
        // A heading or code within a list stays in it.
        do { try blocks.append(lists.isEmpty ? kind == .item ? .paragraph : kind : .item, block) } catch {
            fault = error
        }
    }
}
