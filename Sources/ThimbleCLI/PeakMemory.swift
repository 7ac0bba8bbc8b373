//! The most memory this process has held.

import Glibc

/// Resident memory as Linux counts it.
enum PeakMemory {
    /// VmHWM of /proc/self/status (proc(5)), in bytes; nil where it is not told.
    static func bytes() -> Int? {
        guard let status = try? InputText.read(path: "/proc/self/status") else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix("VmHWM:") }
        return line?.split(separator: " ").dropFirst().first.flatMap { Int($0) }.map { $0 * 1024 }
    }
}
