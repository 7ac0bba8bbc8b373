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
    var entries: [Entry]

    init(_ engine: Engine) {
        let ledger = engine.ledger
        limitBytes = ledger.limits.host
        drawnPeakBytes = ledger.peak(.host)
        entries = ledger.entries.map {
            Entry(name: $0.name, place: $0.place.rawValue, bytes: $0.byteCount, peakBytes: $0.peak)
        }
    }

    /// The limit, to be said after a figure.
    var limitText: String { limitBytes.map { ", \($0.asBytes) allowed" } ?? "" }
}
