//! Budgets as TOML: read with every key and value checked, and written so that they are read as the same.

import ModelFile

extension Budget {
    /// Reads the file at `path`, as it is or where a link leads.
    public init(path: String) throws(BudgetError) {
        let bytes: [UInt8]
        do throws(InputFault) {
            let input = try InputFile(path: path)
            // One byte beyond the limit says that there are too many, and no more are read.
            let count = min(input.byteCount, MemoryLimits.maximumFileByteCount + 1)
            bytes = try input.bytes(at: 0, count: count)
        } catch {
            throw BudgetError(file: path, error)
        }
        try self.init(toml: bytes, file: path)
    }

    /// Reads a TOML text. `file` is what errors name.
    ///
    /// - Throws: `malformed` for what is no TOML, for unknown keys, wrong types, values out of range and
    ///   values that contradict each other, naming the key.
    public init(toml bytes: [UInt8], file: String) throws(BudgetError) {
        let limit = MemoryLimits.maximumFileByteCount
        guard bytes.count <= limit else {
            throw BudgetError(.malformed, file: file, "has more than \(limit) bytes; shorten it")
        }
        let members: [String: TOMLEntry]
        do throws(TOMLFault) { members = try TOMLParser.parse(bytes) } catch {
            let place = error.line.map { "line \($0): " } ?? ""
            throw BudgetError(.malformed, file: file, place + error.detail)
        }
        self.init()
        for (name, entry) in members.inOrder {
            guard Self.tables.contains(name) else {
                try read(entry, at: name, in: "", file)
                continue
            }
            guard case .table(let values) = entry.item else {
                throw BudgetError(
                    .malformed, file: file, key: name,
                    "line \(entry.line): \(name) is \(entry.item.summary); it must be a table, [\(name)]")
            }
            if name == Self.pagesTable {
                try readPages(values, file)
            } else {
                for (key, value) in values.inOrder { try read(value, at: key, in: name, file) }
            }
        }
        try validate(file: file)
    }

    private mutating func read(_ entry: TOMLEntry, at name: String, in table: String, _ file: String)
        throws(BudgetError)
    {
        let known = Self.keys.filter { $0.table == table }
        guard let key = known.first(where: { $0.name == name }) else {
            let path = table.isEmpty ? name : "\(table).\(name)"
            let names = known.map(\.name).joined(separator: ", ")
            let keys =
                table.isEmpty
                ? "the keys are \(names), and the tables \(Self.tables.joined(separator: ", "))"
                : "the keys of [\(table)] are \(names)"
            throw BudgetError(
                .malformed, file: file, key: path, "line \(entry.line): unknown key \(path.quoted); \(keys)")
        }
        guard key.read(entry.item, &self) else {
            throw BudgetError(
                .malformed, file: file, key: key.path,
                "line \(entry.line): \(key.path) is \(entry.item.summary); it must be \(key.expected)")
        }
    }

    private mutating func readPages(_ values: [String: TOMLEntry], _ file: String) throws(BudgetError) {
        var pages: [String: PageValue] = [:]
        for (name, entry) in values.inOrder {
            guard let value = PageValue(entry.item), value.isValid else {
                throw BudgetError(
                    .malformed, file: file, key: "pages.\(name)",
                    "line \(entry.line): pages.\(name.onOneLine()) is \(entry.item.summary); "
                        + "it must be \(PageValue.expected)")
            }
            pages[name] = value
        }
        self.pages = pages
    }
}

extension [String: TOMLEntry] {
    /// From the first line to the last, so that of several faults the first is told.
    fileprivate var inOrder: [(key: String, value: TOMLEntry)] {
        sorted { ($0.value.line, $0.key) < ($1.value.line, $1.key) }
    }
}

extension Budget {
    /// The budget in TOML. What is valid is read as the same budget again.
    public var toml: String {
        var parts = [Self.keys.filter(\.table.isEmpty).compactMap(line).joined()]
        for table in Self.tables where table != Self.pagesTable {
            let lines = Self.keys.filter { $0.table == table }.compactMap(line)
            if !lines.isEmpty { parts.append("[\(table)]\n\(lines.joined())") }
        }
        if let pages {
            let lines = pages.sorted { $0.key < $1.key }.map {
                "\(TOMLItem.writtenKey($0.key)) = \($0.value.written)\n"
            }
            parts.append("[\(Self.pagesTable)]\n\(lines.joined())")
        }
        return parts.filter { !$0.isEmpty }.joined(separator: "\n")
    }

    private func line(_ key: BudgetKey) -> String? {
        key.written(self).map { "\(key.name) = \($0)\n" }
    }
}

extension BudgetError {
    /// What became of reading `file`.
    fileprivate init(file: String, _ fault: InputFault) {
        switch fault {
        case .outOfMemory: self.init(.outOfMemory, file: file, fault.detail)
        case .system, .notARegularFile, .ended: self.init(.unreadable, file: file, fault.detail)
        }
    }
}
