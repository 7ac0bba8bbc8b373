//! Tables on a PDF's page: columns of cells, brought into rows.

/// Tables among the blocks of a page. Poppler takes a table for columns of text, and gives one column after
/// the other.
struct PDFTables {
    /// The blocks, but for those that are columns of a table: these are one block, a line for each row. What
    /// has lines of more than five words on average is no cell, so that columns of prose stay columns.
    static func inRows(_ blocks: [[[PDFWord]]]) -> [[[PDFWord]]] {
        var result: [[[PDFWord]]] = []
        var cells: [[[PDFWord]]] = []
        for block in blocks {
            if block.reduce(0, { $0 + $1.count }) <= 5 * block.count {
                cells.append(block)
            } else {
                result += PDFTables(cells).merged + [block]
                cells = []
            }
        }
        return result + PDFTables(cells).merged
    }

    /// Lines of all blocks, none of them empty, and the block of each.
    private let lines: [[PDFWord]]
    private let blocks: [Int]

    /// - Parameter blocks: of short lines, in the order that poppler gives.
    private init(_ blocks: [[[PDFWord]]]) {
        let numbered = blocks.enumerated().flatMap { number, block in
            block.filter { !$0.isEmpty }.map { (number, $0) }
        }
        (self.blocks, lines) = (numbered.map(\.0), numbered.map(\.1))
    }

    /// The blocks, with the tables among them in rows. A table comes where its first line did; lines that are
    /// of none stay in their order.
    private var merged: [[[PDFWord]]] {
        var tables = tables
        var numbers = [Int?](repeating: nil, count: lines.count)
        for (number, table) in tables.enumerated() {
            for line in table.joined() { numbers[line] = number }
        }
        var result: [[[PDFWord]]] = []
        // The block that the last line of the result is of; nil after a table.
        var last: Int?
        for line in lines.indices {
            if let number = numbers[line] {
                guard !tables[number].isEmpty else { continue }
                result.append(
                    tables[number].map { row in
                        row.sorted { lines[$0][0].left < lines[$1][0].left }.flatMap { lines[$0] }
                    })
                (tables[number], last) = ([], nil)
            } else if let block = last, block == blocks[line] {
                result[result.count - 1].append(lines[line])
            } else {
                result.append([lines[line]])
                last = blocks[line]
            }
        }
        return result
    }

    /// Rows that are near each other, of one size of letters, and mostly of lines beside each other.
    private var tables: [[[Int]]] {
        var groups: [[[Int]]] = []
        for row in rows {
            if let last = groups.last?.last, isBelow(row[0], last[0]) {
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

    /// Whether a line may be of the row that follows another's.
    private func isBelow(_ line: Int, _ other: Int) -> Bool {
        let (first, last) = (lines[line][0], lines[other][0])
        return first.top - last.bottom < 2.5 * last.height && first.height < 1.25 * last.height
            && last.height < 1.25 * first.height
    }

    /// Lines gathered by their height on the page, from the top down.
    private var rows: [[Int]] {
        var rows: [[Int]] = []
        for line in lines.indices.sorted(by: { middle($0) < middle($1) }) {
            if let first = rows.last?.first, middle(line) - middle(first) < lines[first][0].height / 2,
                rows[rows.count - 1].allSatisfy({ !overlaps($0, line) })
            {
                rows[rows.count - 1].append(line)
            } else {
                rows.append([line])
            }
        }
        return rows
    }

    private func middle(_ line: Int) -> Double { (lines[line][0].top + lines[line][0].bottom) / 2 }

    private func overlaps(_ line: Int, _ other: Int) -> Bool {
        let (line, other) = (lines[line], lines[other])
        return line[0].left < other[other.count - 1].right && other[0].left < line[line.count - 1].right
    }
}
