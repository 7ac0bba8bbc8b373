//! The words of a PDF's page as text: lines to paragraphs, cells to rows.

/// The blocks of a page as texts: what stands beside each other on one line, what goes on below on the next.
struct PDFParagraphs {
    private(set) var texts: [String] = []

    init(_ page: PDFPageWords) {
        var last: [PDFWord]?
        for block in PDFTables.inRows(page.blocks) {
            guard let first = block.first, let end = block.last, let height = first.map(\.height).max() else {
                continue
            }
            let text = Self.text(of: block)
            if let last, let place = Self.relation(of: first, to: last, height), var joined = texts.popLast()
            {
                joined += place + text
                texts.append(joined)
            } else {
                texts.append(text)
            }
            last = end
        }
    }

    /// What stands between a block and the one before it: spaces where both share a line, a newline where one
    /// follows the other closely; nil where they are apart.
    private static func relation(of first: [PDFWord], to last: [PDFWord], _ height: Double) -> String? {
        guard let top = first.map(\.top).min(), let bottom = first.map(\.bottom).max(),
            let lastTop = last.map(\.top).min(), let lastBottom = last.map(\.bottom).max(),
            let lastRight = last.map(\.right).max(), let left = first.map(\.left).min()
        else { return nil }
        let overlap = min(bottom, lastBottom) - max(top, lastTop)
        if left >= lastRight, overlap > height / 2 { return "  " }
        return top >= lastTop && top - lastBottom < height * 0.55 ? "\n" : nil
    }

    private static func text(of block: [[PDFWord]]) -> String {
        var text = ""
        var isParted = false
        for (number, line) in block.enumerated() {
            var words = Self.joined(line)
            guard !words.isEmpty else { continue }
            if isParted {
                // The rest of the word, then the line's other words on their own.
                let rest = words.removeFirst()
                text += rest + (words.isEmpty ? "" : "\n")
            } else if !text.isEmpty {
                text += "\n"
            }
            isParted = false
            let next = block.dropFirst(number + 1).first { !$0.isEmpty }
            if let last = words.last, let start = next?.first?.text, Self.isParted(last, start) {
                words[words.count - 1] = String(last.dropLast())
                isParted = true
            }
            text += words.joined(separator: " ")
        }
        return text
    }

    /// Whether a line's last word goes on in the next line.
    private static func isParted(_ word: String, _ next: String) -> Bool {
        guard let hyphen = word.unicodeScalars.last, ["-", "\u{AD}", "\u{2010}"].contains(hyphen),
            let letter = word.dropLast().last, letter.isLetter, let start = next.first
        else { return false }
        return start.isLowercase
    }

    /// The words of a line; what touches is one, as where the font changes within it.
    private static func joined(_ line: [PDFWord]) -> [String] {
        var words: [String] = []
        var last: PDFWord?
        for word in line {
            let gap = last.map { word.left - $0.right } ?? .infinity
            if abs(gap) < word.height * 0.05, var joined = words.popLast() {
                joined += word.text
                words.append(joined)
            } else {
                words.append(word.text)
            }
            last = word
        }
        return words
    }
}

/// Tables among the blocks of a page. Poppler takes a table for columns of text, and gives one column after
/// the other.
enum PDFTables {
    /// The blocks, but for those that are columns of a table: these are one block, a line for each row.
    /// What has lines of more than five words on average is no cell, so that columns of prose stay columns.
    static func inRows(_ blocks: [[[PDFWord]]]) -> [[[PDFWord]]] {
        var result: [[[PDFWord]]] = []
        var cells: [[[PDFWord]]] = []
        for block in blocks {
            if block.reduce(0, { $0 + $1.count }) <= 5 * block.count {
                cells.append(block)
            } else {
                result += merged(cells) + [block]
                cells = []
            }
        }
        return result + merged(cells)
    }

    /// Blocks of short lines that follow each other, with the tables among them brought into rows.
    private static func merged(_ blocks: [[[PDFWord]]]) -> [[[PDFWord]]] {
        guard blocks.count > 1 else { return blocks }
        var tables = tables(in: rows(of: blocks.flatMap { $0 }.filter { !$0.isEmpty }))
        guard !tables.isEmpty else { return blocks }
        var numbers: [Place: Int] = [:]
        for (number, table) in tables.enumerated() {
            for line in table.joined() { numbers[Place(line)] = number }
        }
        // A table comes where its first line did; lines that are of none stay in their order.
        var result: [[[PDFWord]]] = []
        for block in blocks {
            var rest: [[PDFWord]] = []
            for line in block where !line.isEmpty {
                guard let number = numbers[Place(line)] else {
                    rest.append(line)
                    continue
                }
                guard !tables[number].isEmpty else { continue }
                if !rest.isEmpty { result.append(rest) }
                result.append(tables[number].map { $0.sorted { $0[0].left < $1[0].left }.flatMap { $0 } })
                (rest, tables[number]) = ([], [])
            }
            if !rest.isEmpty { result.append(rest) }
        }
        return result
    }

    /// Rows that are near each other, of one size of letters, and mostly of lines beside each other.
    private static func tables(in rows: [[[PDFWord]]]) -> [[[[PDFWord]]]] {
        var groups: [[[[PDFWord]]]] = []
        for row in rows {
            if let last = groups.last?.last, let word = last.first?.first, let first = row.first?.first,
                first.top - word.bottom < 2.5 * word.height, first.height < 1.25 * word.height,
                word.height < 1.25 * first.height
            {
                groups[groups.count - 1].append(row)
            } else {
                groups.append([row])
            }
        }
        return groups.compactMap { group in
            guard let first = group.firstIndex(where: { $0.count > 1 }),
                let last = group.lastIndex(where: { $0.count > 1 })
            else { return nil }
            let table = Array(group[first...last])
            let wide = table.count { $0.count > 1 }
            return wide > 1 && wide * 2 > table.count ? table : nil
        }
    }

    /// Lines gathered by their height on the page, from the top down.
    private static func rows(of lines: [[PDFWord]]) -> [[[PDFWord]]] {
        var rows: [[[PDFWord]]] = []
        for line in lines.sorted(by: { middle($0) < middle($1) }) {
            if let row = rows.last, let first = row.first, middle(line) - middle(first) < first[0].height / 2,
                !row.contains(where: { overlaps($0, line) })
            {
                rows[rows.count - 1].append(line)
            } else {
                rows.append([line])
            }
        }
        return rows
    }

    /// Where a line begins, by which it is known.
    private struct Place: Hashable {
        let left: Double
        let top: Double

        init(_ line: [PDFWord]) { (left, top) = (line[0].left, line[0].top) }
    }

    private static func middle(_ line: [PDFWord]) -> Double { (line[0].top + line[0].bottom) / 2 }

    private static func overlaps(_ line: [PDFWord], _ other: [PDFWord]) -> Bool {
        line[0].left < other[other.count - 1].right && other[0].left < line[line.count - 1].right
    }
}
