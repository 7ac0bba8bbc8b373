//! What must hold of a budget, whoever made it.

extension Budget {
    /// Checks every value, and the values against each other. `file` is what an error names: the file that
    /// the budget comes from, or what else it is.
    public func validate(file: String = "budget") throws(BudgetError) {
        for key in Self.keys where !key.isValid(self) {
            throw BudgetError(
                .malformed, file: file, key: key.path,
                "\(key.path) is \(told(key.written(self))); it must be \(key.expected)")
        }
        try validatePages(file)
        for (name, part) in [("device", memory.device), ("host", memory.host)] {
            guard let part, let total = memory.total, part > total else { continue }
            throw BudgetError(
                .malformed, file: file, key: "memory.\(name)",
                "memory.\(name) is \(part), more than memory.total, \(total); lower it or leave it out")
        }
        let needs: [(key: String, isStated: Bool, need: String, isMet: Bool)] = [
            ("spill.size", spill.size != nil, "spill.folder", spill.folder != nil),
            ("spill.written-a-day", spill.writtenADay != nil, "spill.folder", spill.folder != nil),
            ("thermal.ceiling-celsius", thermal.ceilingCelsius != nil, "thermal.zone", thermal.zone != nil),
            (
                "thermal.ceiling-watts", thermal.ceilingWatts != nil, "thermal.power-file",
                thermal.powerFile != nil
            ),
        ]
        for (key, isStated, need, isMet) in needs where isStated && !isMet {
            throw BudgetError(
                .malformed, file: file, key: key, "\(key) is stated without \(need); add that or leave it out"
            )
        }
        // What is read can be written and read again, so its length counts, too.
        let (count, limit) = (toml.utf8.count, MemoryLimits.maximumFileByteCount)
        guard count <= limit else {
            throw BudgetError(
                .malformed, file: file, "takes \(count) bytes of TOML, more than \(limit); shorten it")
        }
    }

    /// A value as a message tells it.
    private func told(_ written: String?) -> String { (written ?? "missing").onOneLine() }

    private func validatePages(_ file: String) throws(BudgetError) {
        guard let pages else { return }
        guard pages.count <= MemoryLimits.maximumItemCount else {
            throw BudgetError(
                .malformed, file: file, key: Self.pagesTable,
                "pages has \(pages.count) keys; the limit is \(MemoryLimits.maximumItemCount)")
        }
        for (name, value) in pages.sorted(by: { $0.key < $1.key }) {
            guard !name.utf8.contains(0), name.utf8.count <= MemoryLimits.maximumTextByteCount else {
                throw BudgetError(
                    .malformed, file: file, key: Self.pagesTable,
                    "pages has a key that is none: \(name.quoted)")
            }
            guard !value.isValid else { continue }
            throw BudgetError(
                .malformed, file: file, key: "pages.\(name)",
                "pages.\(name.onOneLine()) is \(told(value.written)); it must be \(PageValue.expected)")
        }
    }
}
