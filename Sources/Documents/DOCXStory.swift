//! A story of a DOCX - its body, a header, a note - element by element to blocks of text.

/// Reads the stories of one document. Lists count on from story to story, and so does what is left out.
final class DOCXStory {
    private let styles: DOCXStyles
    private var numbering: DOCXNumbering
    private let maxBytes: Int
    /// Bytes of text so far.
    private var byteCount = 0
    var tally = DOCXTally()
    /// Ids of notes in the order in which the text refers to them.
    private(set) var footnotes: [String] = []
    private(set) var endnotes: [String] = []
    /// Where each stands in its list, by its kind and id.
    private var noteIndexes: [String: Int] = [:]
    private var reader: XMLReader!
    /// Whether a colour may lie behind the text at hand: of the page, or of the table or cell around it.
    private var isOnColour = false

    init(styles: DOCXStyles, numbering: DOCXNumbering, maxBytes: Int) {
        self.styles = styles
        self.numbering = numbering
        self.maxBytes = maxBytes
    }

    /// The blocks of a whole part.
    func blocks(of reader: XMLReader) throws(DocumentError) -> [DOCXBlock] {
        self.reader = reader
        isOnColour = false
        return try blocks(outside: -1)
    }

    /// The notes that are referred to, in that order, each behind its number.
    func notes(
        of reader: XMLReader, _ element: String, _ ids: [String]
    ) throws(DocumentError) -> [DOCXBlock] {
        self.reader = reader
        isOnColour = false
        var found: [String: String] = [:]
        while let event = try reader.next() {
            guard event == .start(element), let id = reader.attribute("id") else { continue }
            found[id] = try blocks(outside: reader.depth - 1).map(\.text).joined(separator: " ")
        }
        let offset = element == "endnote" ? footnotes.count : 0
        return ids.enumerated().compactMap { number, id in
            found[id].map { DOCXBlock(kind: .item, text: "[\(offset + number + 1)] \($0)") }
        }
    }

    private func charge(_ text: String) throws(DocumentError) {
        byteCount += text.utf8.count
        guard byteCount <= maxBytes else {
            throw DocumentError(.tooLarge, "the document has more than \(maxBytes) bytes of text")
        }
    }

    // MARK: - Blocks

    /// The blocks until the element ends that left the depth `outside` behind. Elements that only hold
    /// blocks - content controls, insertions, custom XML - are passed through.
    private func blocks(outside: Int) throws(DocumentError) -> [DOCXBlock] {
        var blocks: [DOCXBlock] = []
        while let event = try reader.next(), reader.depth > outside {
            guard case .start(let local) = event else { continue }
            switch local {
            case "p": blocks += try paragraph()
            case "tbl": blocks += try table()
            case "AlternateContent":
                try alternatives { () throws(DocumentError) in
                    blocks += try self.blocks(outside: self.reader.depth - 1)
                }
            case "background":
                isOnColour = !["FFFFFF", "AUTO"].contains(reader.attribute("color")?.uppercased() ?? "AUTO")
            default: try passOrSkip(local)
            }
        }
        return blocks
    }

    /// Passes over elements that hold no text of the document, and counts what is left out with them; other
    /// elements are entered.
    private func passOrSkip(_ local: String) throws(DocumentError) {
        switch local {
        case "ins": tally.insertions += 1
        case "del", "moveFrom":
            tally.deletions += 1
            try reader.skip()
        case "altChunk":
            tally.inserts += 1
            try reader.skip()
        case "sectPr", "sdtPr", "sdtEndPr", "instrText", "delText", "delInstrText", "tblPr", "tblGrid", "rt":
            try reader.skip()
        case "commentReference": tally.comments += 1
        case "object":
            tally.objects += 1
            try reader.skip()
        default: break
        }
    }

    /// Of alternatives the first, which is what newer programs show; `body` reads it.
    private func alternatives(_ body: () throws(DocumentError) -> Void) throws(DocumentError) {
        let outside = reader.depth - 1
        var isTaken = false
        while let event = try reader.next(), reader.depth > outside {
            guard case .start(let local) = event else { continue }
            if !isTaken && (local == "Choice" || local == "Fallback") {
                isTaken = true
                try body()
            } else {
                try reader.skip()
            }
        }
    }

    // MARK: - Paragraphs

    /// A paragraph's text as it grows, and what stands beside it.
    private struct Line {
        var text = ""
        var properties = DOCXProperties()
        var style = DOCXProperties()
        var isHeading = false
        /// The blocks of text boxes that are anchored in it.
        var boxes: [DOCXBlock] = []
        var hasBreak = false
    }

    private func paragraph() throws(DocumentError) -> [DOCXBlock] {
        let outside = reader.depth - 1
        var line = Line()
        let standard = styles.resolved(nil)
        line.style = standard.run
        var paragraphStyle = standard.paragraph
        line.isHeading = standard.isHeading
        while let event = try reader.next(), reader.depth > outside {
            guard case .start(let local) = event else { continue }
            if local == "pPr" {
                line.properties = try DOCXProperties.read(from: reader)
                let style = styles.resolved(line.properties.style)
                (line.style, paragraphStyle) = (style.run, style.paragraph)
                line.isHeading = style.isHeading
            } else {
                try inline(local, &line)
            }
        }
        let all = line.properties.over(paragraphStyle)
        var text = line.text
        var kind = BlockText.Kind.paragraph
        if line.isHeading || (0..<9).contains(all.outlineLevel ?? 9) { kind = .heading }
        let isEmpty = !text.unicodeScalars.contains { !isWhiteSpace($0.value) }
        if !isEmpty, let id = all.numberingID, id != "0",
            let item = numbering.next(
                id, level: line.properties.numberingLevel ?? paragraphStyle.numberingLevel,
                style: line.properties.style, styles)
        {
            if kind == .paragraph { kind = .item }
            let indent = kind == .item ? String(repeating: "  ", count: item.level) : ""
            text = indent + item.mark + (item.mark.isEmpty ? "" : " ") + text
            try charge(indent + item.mark)
        }
        return [DOCXBlock(kind: kind, text: text)] + line.boxes
    }

    /// What stands in a paragraph outside of runs: runs, links, fields, insertions.
    private func inline(_ local: String, _ line: inout Line) throws(DocumentError) {
        switch local {
        case "r": try run(&line)
        case "t":
            // Of a formula, whose runs have a name of their own.
            line.text += try content()
        case "AlternateContent":
            var inner = line
            try alternatives { () throws(DocumentError) in
                let outside = self.reader.depth - 1
                while let event = try self.reader.next(), self.reader.depth > outside {
                    if case .start(let local) = event { try self.inline(local, &inner) }
                }
            }
            line = inner
        default: try passOrSkip(local)
        }
    }

    /// The text of the element that just began.
    private func content() throws(DocumentError) -> String {
        let outside = reader.depth - 1
        var text = ""
        while let event = try reader.next(), reader.depth > outside {
            if case .text(let piece) = event { text += piece }
        }
        try charge(text)
        return text
    }

    // MARK: - Runs

    private func run(_ line: inout Line) throws(DocumentError) {
        let outside = reader.depth - 1
        var properties = line.style
        var text = ""
        while let event = try reader.next(), reader.depth > outside {
            guard case .start(let local) = event else { continue }
            if local == "rPr" {
                let own = try DOCXProperties.read(from: reader)
                let base = own.style.map { styles.resolved($0).run.over(line.style) } ?? line.style
                properties = own.over(base)
            } else {
                try inRun(local, &text, &line)
            }
        }
        if isHidden(properties, in: line) {
            tally.hiddenWords += wordCount(text)
        } else {
            line.text += text
        }
    }

    private func isHidden(_ run: DOCXProperties, in line: Line) -> Bool {
        if run.isHidden ?? false { return true }
        if let size = run.size, size <= 4 { return true }
        let isShaded = run.isShaded ?? false || line.properties.isShaded ?? false || isOnColour
        return run.isWhite ?? false && !isShaded
    }

    private func inRun(_ local: String, _ text: inout String, _ line: inout Line) throws(DocumentError) {
        switch local {
        case "t": text += try content()
        case "tab", "ptab": text += "\t"
        case "br", "cr": text += "\n"
        case "noBreakHyphen": text += "\u{2011}"
        case "sym": text += symbol()
        case "footnoteReference": text += reference("footnote", &footnotes, offset: 0)
        case "endnoteReference": text += reference("endnote", &endnotes, offset: footnotes.count)
        case "txbxContent":
            let isAround = isOnColour
            // A box has a background of its own.
            isOnColour = true
            line.boxes += try blocks(outside: reader.depth - 1)
            isOnColour = isAround
        case "pic", "imagedata": tally.pictures += 1
        case "chart", "relIds": tally.pictures += 1
        case "AlternateContent":
            var (innerText, innerLine) = (text, line)
            try alternatives { () throws(DocumentError) in
                let outside = self.reader.depth - 1
                while let event = try self.reader.next(), self.reader.depth > outside {
                    if case .start(let local) = event { try self.inRun(local, &innerText, &innerLine) }
                }
            }
            (text, line) = (innerText, innerLine)
        default: try passOrSkip(local)
        }
    }

    /// A note is said at its first reference; the number stands at each.
    private func reference(_ element: String, _ notes: inout [String], offset: Int) -> String {
        guard let id = reader.attribute("id") else { return "" }
        let known = noteIndexes[element + id]
        let index = known ?? notes.count
        if known == nil {
            notes.append(id)
            noteIndexes[element + id] = index
        }
        return "[\(offset + index + 1)]"
    }

    /// A character of a symbol font: the bullets that such fonts are used for, else what the code says.
    private func symbol() -> String {
        guard let code = reader.attribute("char").flatMap({ UInt32($0, radix: 16) }),
            let scalar = Unicode.Scalar(code)
        else { return "" }
        return (0xF000...0xF0FF).contains(code) ? "\u{2022}" : String(Character(scalar))
    }

    // MARK: - Tables

    /// A table: a line for each row, or the blocks of its cells where no row has two of them.
    private func table() throws(DocumentError) -> [DOCXBlock] {
        let outside = reader.depth - 1
        let isAround = isOnColour
        defer { isOnColour = isAround }
        var rows: [[[DOCXBlock]]] = []
        while let event = try reader.next(), reader.depth > outside {
            guard case .start(let local) = event else { continue }
            switch local {
            case "tr": if let row = try row() { rows.append(row) }
            // Its style may colour any cell.
            case "tblStyle": isOnColour = true
            case "tblPr": break
            default: try passOrSkip(local)
            }
        }
        guard rows.contains(where: { $0.count > 1 }) else { return rows.flatMap { $0.flatMap { $0 } } }
        return rows.map { cells in
            DOCXBlock(
                kind: .row,
                text: cells.map { cell in
                    String(
                        cell.map(\.text).filter { !$0.isEmpty }.joined(separator: " ")
                            .map { $0 == "\n" || $0 == "\t" ? " " : $0 })
                }.joined(separator: " | "))
        }
    }

    /// The cells of a row; nil where it is deleted or hidden.
    private func row() throws(DocumentError) -> [[DOCXBlock]]? {
        let outside = reader.depth - 1
        var cells: [[DOCXBlock]] = []
        var (isHidden, isDeleted, isInProperties) = (false, false, false)
        while let event = try reader.next(), reader.depth > outside {
            switch event {
            case .start("tc"): cells.append(try cell())
            case .start("trPr"): isInProperties = true
            case .end("trPr"): isInProperties = false
            case .start("hidden") where isInProperties: isHidden = reader.attribute("val") != "0"
            case .start("del") where isInProperties: isDeleted = true
            case .start(let local) where !isInProperties: try passOrSkip(local)
            default: break
            }
        }
        if isHidden { tally.hiddenWords += wordCount(cells.joined().map(\.text).joined(separator: " ")) }
        if isDeleted { tally.deletions += 1 }
        return isHidden || isDeleted ? nil : cells
    }

    /// The blocks of a cell; none where it is the lower part of one that reaches over rows.
    private func cell() throws(DocumentError) -> [DOCXBlock] {
        let outside = reader.depth - 1
        let isAround = isOnColour
        defer { isOnColour = isAround }
        var blocks: [DOCXBlock] = []
        var goesOn = false
        while let event = try reader.next(), reader.depth > outside {
            guard case .start(let local) = event else { continue }
            switch local {
            case "vMerge": goesOn = reader.attribute("val") != "restart"
            case "shd":
                let fill = reader.attribute("fill")?.uppercased() ?? "AUTO"
                if fill != "AUTO" && fill != "FFFFFF" { isOnColour = true }
            case "p": blocks += try paragraph()
            case "tbl": blocks += try table()
            default: try passOrSkip(local)
            }
        }
        return goesOn ? [] : blocks
    }
}
