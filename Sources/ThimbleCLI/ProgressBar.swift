//! Progress on standard error: one redrawn line on a terminal, a line for every tenth elsewhere.

import HostSystem
import Thimble

/// Shows how far a task is. It shows nothing of a task that is over before `delay`.
struct ProgressBar: ~Copyable {
    private let title: String
    private let delay: Duration
    private let start = Moment.now
    private let isTerminal = StandardStream.error.isTerminal
    /// Hundredths on a terminal, tenths elsewhere; what is on show.
    private var shown = 0
    private var width = 0

    init(_ title: String, delay: Duration = .zero) {
        self.title = title
        self.delay = delay
    }

    deinit {
        // The next line starts where the bar was.
        if width > 0 { try? StandardStream.error.write("\r" + String(repeating: " ", count: width) + "\r") }
    }

    /// Shows `share`, from 0 to 1, and a detail such as the tensor at hand.
    mutating func show(_ share: Double, _ detail: String = "") {
        let hundredths = Int(max(0, min(share.isFinite ? share : 0, 1)) * 100)
        let step = isTerminal ? hundredths : hundredths / 10
        guard step > shown, start.duration(to: .now) >= delay else { return }
        shown = step
        guard isTerminal else { return StandardStream.note("\(title) \(step * 10)%") }
        let filled = hundredths / 5
        let bar = String(repeating: "#", count: filled) + String(repeating: ".", count: 20 - filled)
        let line = String("\(title) [\(bar)] \(hundredths)% \(detail)".onOneLine.prefix(78))
        let padding = String(repeating: " ", count: max(0, width - line.count))
        width = line.count
        try? StandardStream.error.write("\r\(line)\(padding)")
    }
}
