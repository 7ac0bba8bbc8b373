//! How much memory something takes, for tests that run it in a process of its own.

import Foundation
import TestSupport

/// Runs `body` and ends the process where its peak memory exceeds what it was before by more than `limit`
/// bytes.
func withMemoryGrowingAtMost(_ limit: Int, _ body: () throws -> Void) throws {
    let before = try peakMemory()
    try body()
    let growth = try peakMemory() - before
    print("grew by \(growth >> 20) MiB of \(limit >> 20)")
    guard growth <= limit || isSanitized else {
        fatalError("memory grew by \(growth) bytes; the limit is \(limit)")
    }
}

/// The most memory that this process has held at once, in bytes.
private func peakMemory() throws -> Int {
    let status = try String(contentsOfFile: "/proc/self/status", encoding: .utf8)
    let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
    return line.flatMap { Int($0.filter(\.isNumber)) }.map { $0 * 1024 } ?? 0
}
