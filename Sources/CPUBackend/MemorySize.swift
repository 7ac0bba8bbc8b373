//! How much memory this process may use.

internal import Glibc
internal import HostSystem

/// The limits on a process's memory: the machine's and its control groups'.
public enum MemorySize {
    /// Bytes that this process may use, at least 1: the machine's memory, and no more than its control groups
    /// grant, asked once. What others use of it already is not taken off, for that may change.
    public static let available: Int = {
        let physical = sysconf(Int32(_SC_PHYS_PAGES)) * sysconf(Int32(_SC_PAGESIZE))
        return max(1, min(physical > 0 ? physical : .max, groupLimit ?? .max))
    }()

    /// Bytes that the control groups of this process grant it (cgroup v2's memory.max, v1's
    /// memory.limit_in_bytes): the least over its group and all above; nil where nothing limits it. `read`
    /// gives the content of a file, nil where there is none.
    static func limit(_ read: (String) -> String?) -> Int? {
        // `max` is no number, and limits nothing.
        numbers(current: "memory.max", older: "memory.limit_in_bytes", read).filter { $0 > 0 }.min()
    }

    /// Bytes that the control groups of this process grant it; nil where nothing limits it.
    public static var groupLimit: Int? {
        limit(SystemText.contents)
    }

    /// The most bytes that the innermost of this process's memory groups has held, whoever else is in it
    /// included (memory.peak, memory.max_usage_in_bytes); nil where none tells.
    public static var groupPeak: Int? {
        numbers(current: "memory.peak", older: "memory.max_usage_in_bytes", SystemText.contents).first
    }

    /// What a file says in each group of this process that has it, the innermost first.
    private static func numbers(
        current: String, older: String, _ read: (String) -> String?
    ) -> [Int] {
        let groups = ControlGroup.all(of: "memory", read)
        return groups.sorted { $0.folder.utf8.count > $1.folder.utf8.count }.compactMap { group in
            let text = read("\(group.folder)/\(group.isCurrent ? current : older)")
            return text?.split(whereSeparator: \.isWhitespace).first.flatMap { Int($0) }
        }
    }
}
