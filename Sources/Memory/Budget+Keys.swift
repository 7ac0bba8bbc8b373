//! Every key that a budget may have: the one list from which budgets are read, checked, merged and written.

/// One key of a budget.
struct BudgetKey: Sendable {
    /// The table that it stands in; empty for the keys before any table.
    let table: String
    /// Its name in the table.
    let name: String
    /// What its value must be.
    let expected: String
    /// Puts a value into a budget; false where it is none that this key may have.
    let read: @Sendable (TOMLItem, inout Budget) -> Bool
    /// Whether a budget's value may be stated.
    let isValid: @Sendable (Budget) -> Bool
    /// The value in TOML; nil where the budget does not state it.
    let written: @Sendable (Budget) -> String?
    /// Copies the value, where there is one, from the first budget to the second.
    let copy: @Sendable (Budget, inout Budget) -> Void

    /// How messages name it: `run.context`.
    var path: String { table.isEmpty ? name : "\(table).\(name)" }

    init<Value>(
        _ table: String, _ name: String, _ field: any WritableKeyPath<Budget, Value?> & Sendable,
        _ form: ValueForm<Value>
    ) {
        self.table = table
        self.name = name
        expected = form.expected
        read = { item, budget in
            guard let value = form.read(item), form.accepts(value) else { return false }
            budget[keyPath: field] = value
            return true
        }
        isValid = { $0[keyPath: field].map(form.accepts) ?? true }
        written = { $0[keyPath: field].map(form.write) }
        copy = { source, target in
            if let value = source[keyPath: field] { target[keyPath: field] = value }
        }
    }
}

extension Budget {
    /// The name of the table of page settings, whose keys are theirs.
    static let pagesTable = "pages"

    /// Every key but those of `[pages]`, table by table in the order in which they are written.
    static let keys: [BudgetKey] = [
        BudgetKey("", "name", \.name, .text),
        BudgetKey("", "summary", \.summary, .text),
        BudgetKey("", "sources", \.sources, .texts),
        BudgetKey("memory", "device", \.memory.device, .size),
        BudgetKey("memory", "host", \.memory.host, .someSize),
        BudgetKey("memory", "total", \.memory.total, .someSize),
        BudgetKey("run", "context", \.run.context, .whole(MemoryLimits.tokenCount)),
        BudgetKey("run", "threads", \.run.threads, .whole(MemoryLimits.threadCount)),
        BudgetKey("run", "device", \.run.device, .device),
        BudgetKey("run", "offload", \.run.offload, .word),
        BudgetKey("run", "gpu-layers", \.run.deviceLayers, .whole(MemoryLimits.layerCount)),
        BudgetKey("run", "prefill-chunk", \.run.prefillChunk, .whole(MemoryLimits.tokenCount)),
        BudgetKey("run", "image-tokens", \.run.imageTokens, .whole(MemoryLimits.tokenCount)),
        BudgetKey("kv", "type", \.kv.type, .word),
        BudgetKey("kv", "page-tokens", \.kv.pageTokens, .powerOfTwo(MemoryLimits.pageTokenCount)),
        BudgetKey("spill", "folder", \.spill.folder, .text),
        BudgetKey("spill", "size", \.spill.size, .size),
        BudgetKey("spill", "written-a-day", \.spill.writtenADay, .size),
        BudgetKey("sessions", "folder", \.sessions.folder, .text),
        BudgetKey("sessions", "size", \.sessions.size, .size),
        BudgetKey("sessions", "days", \.sessions.days, .whole(MemoryLimits.dayCount)),
        BudgetKey("sessions", "written-a-day", \.sessions.writtenADay, .size),
        BudgetKey("features", "memory", \.features.memory, .size),
        BudgetKey("features", "disk", \.features.disk, .size),
        BudgetKey("machine", "host-bandwidth", \.machine.hostBandwidth, .rate),
        BudgetKey("machine", "device-bandwidth", \.machine.deviceBandwidth, .rate),
        BudgetKey("machine", "bus-bandwidth", \.machine.busBandwidth, .rate),
        BudgetKey("machine", "disk-bandwidth", \.machine.diskBandwidth, .rate),
        BudgetKey("machine", "cores", \.machine.cores, .whole(MemoryLimits.threadCount)),
        BudgetKey("thermal", "zone", \.thermal.zone, .path(below: "/sys/class/thermal")),
        BudgetKey("thermal", "ceiling-celsius", \.thermal.ceilingCelsius, .number(MemoryLimits.celsius)),
        BudgetKey("thermal", "power-file", \.thermal.powerFile, .path(below: "/sys")),
        BudgetKey("thermal", "ceiling-watts", \.thermal.ceilingWatts, .number(MemoryLimits.watts)),
    ]

    /// The tables of a budget in the order in which they are written, that of page settings last.
    static let tables: [String] =
        keys.reduce(into: []) { tables, key in
            if !key.table.isEmpty && tables.last != key.table { tables.append(key.table) }
        } + [pagesTable]
}
