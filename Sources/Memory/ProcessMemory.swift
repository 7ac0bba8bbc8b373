//! What the system says this process holds.

internal import HostSystem

/// The resident memory of this process as Linux counts it: anonymous memory and the pages of files that are
/// mapped, proc(5).
public enum ProcessMemory {
    /// Bytes now; nil where it is not told.
    public static var resident: Int? { field("VmRSS:") }
    /// The most bytes so far; nil where it is not told.
    public static var peak: Int? { field("VmHWM:") }

    /// A field of /proc/self/status, which is in KiB.
    private static func field(_ name: String) -> Int? {
        guard let status = SystemText.contents(of: "/proc/self/status") else { return nil }
        let line = status.split(separator: "\n").first { $0.hasPrefix(name) }
        return line?.split(whereSeparator: \.isWhitespace).dropFirst().first.flatMap { Int($0) }
            .map { $0 * 1024 }
    }
}
