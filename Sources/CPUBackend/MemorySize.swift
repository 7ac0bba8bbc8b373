//! How much memory this process may use.

internal import FoundationEssentials
internal import Glibc

/// The limits on a process's memory: the machine's and its control groups'.
public enum MemorySize {
    /// Bytes that this process may use, at least 1: the machine's memory, and no more than its control groups
    /// grant, asked once. What others use of it already is not taken off, for that may change.
    public static let available: Int = {
        let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        let granted = limit { path in try? String(contentsOfFile: path, encoding: .utf8) }
        return max(1, min(physical > 0 ? physical : .max, granted ?? .max))
    }()

    /// Bytes that the control groups of this process grant it (cgroup v2's memory.max, v1's
    /// memory.limit_in_bytes): the least over its group and all above; nil where nothing limits it. `read`
    /// gives the content of a file, nil where there is none.
    static func limit(_ read: (String) -> String?) -> Int? {
        ControlGroup.all(of: "memory", read).compactMap { group in
            let text = read(group.folder + (group.isCurrent ? "/memory.max" : "/memory.limit_in_bytes"))
            // `max` is no number, and limits nothing.
            return text?.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
        }.filter { $0 > 0 }.min()
    }
}
