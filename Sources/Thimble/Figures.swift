//! Numbers as people read them.

extension Double {
    /// With `digits` decimals; not for values beyond 10^15.
    package func fixed(_ digits: Int) -> String {
        guard isFinite, abs(self) < 1e15 else { return "\(self)" }
        var scale = 1.0
        for _ in 0..<digits { scale *= 10 }
        let scaled = Int((abs(self) * scale).rounded())
        let sign = self < 0 && scaled > 0 ? "-" : ""
        guard digits > 0 else { return "\(sign)\(scaled)" }
        let fraction = String(scaled % Int(scale))
        let zeros = String(repeating: "0", count: digits - fraction.count)
        return "\(sign)\(scaled / Int(scale)).\(zeros)\(fraction)"
    }
}

extension Double {
    /// Bytes a second as a rate: `1.9 GB/s`.
    package var asRate: String {
        self >= 1e9 ? "\((self * 1e-9).fixed(1)) GB/s" : "\((self * 1e-6).fixed(1)) MB/s"
    }
}

extension Int {
    /// As a size: `14.9 MiB`.
    package var asBytes: String {
        var (value, unit) = (Double(self), "B")
        for larger in ["KiB", "MiB", "GiB", "TiB"] where value >= 1024 {
            (value, unit) = (value / 1024, larger)
        }
        return unit == "B" ? "\(self) B" : "\(value.fixed(1)) \(unit)"
    }

    /// With its noun: `1 page`, `2 pages`.
    package func of(_ noun: String) -> String { self == 1 ? "1 \(noun)" : "\(self) \(noun)s" }
}
