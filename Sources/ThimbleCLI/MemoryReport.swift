//! What a run took of memory: the ledger's word beside the system's.

import Thimble

/// The ledger of an engine, as `--json` prints it.
struct MemoryReport: Encodable {
    struct Entry: Encodable {
        var name: String
        var place: String
        var bytes: Int
        var peakBytes: Int
    }

    /// Of the host's memory; nil where nothing limits it.
    var limitBytes: Int?
    /// The most that was ever drawn of the host's memory.
    var drawnPeakBytes: Int
    /// The most that was ever drawn of a GPU's memory.
    var drawnDevicePeakBytes: Int
    /// The most that this process's control group has held, others in it included.
    var groupPeakBytes: Int?
    /// What the driver says this process holds of a GPU's memory now.
    var deviceUsedBytes: Int?
    var entries: [Entry]

    init(_ engine: Engine) {
        let ledger = engine.ledger
        limitBytes = ledger.limits.host
        drawnPeakBytes = ledger.peak(.host)
        drawnDevicePeakBytes = ledger.peak(.device)
        groupPeakBytes = Engine.groupPeakByteCount
        deviceUsedBytes = engine.deviceUsedByteCount
        entries = ledger.entries.map {
            Entry(name: $0.name, place: $0.place.rawValue, bytes: $0.byteCount, peakBytes: $0.peak)
        }
    }

    /// The limit, to be said after a figure.
    var limitText: String { limitBytes.map { ", \($0.asBytes) allowed" } ?? "" }

    /// The ledger for a person: each name with the most it took.
    var lines: [String] {
        let width = (entries.map(\.name.count).max() ?? 0) + 2
        var lines = entries.map { entry in
            let padding = String(repeating: " ", count: width - entry.name.count)
            let place = entry.place == "device" ? ", device" : ""
            return "  \(entry.name)\(padding)\(entry.peakBytes.asBytes)\(place)"
        }
        if let used = deviceUsedBytes { lines.append("  the driver says \(used.asBytes) of the device") }
        return lines
    }
}
