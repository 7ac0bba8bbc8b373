//! How many cores this process may compute on.

internal import CKernels
internal import FoundationEssentials

/// The limits on a process's cores: the scheduler's and its control groups'.
public enum CoreCount {
    /// Cores that this process may compute on, at least 1: those it may be scheduled on, and no more than the
    /// time that its control groups grant it amounts to.
    ///
    /// Both halves of a core that runs two threads count. Products with many tokens keep a core's arithmetic
    /// busy and gain little from its second half, but lose nothing; decoding and attention wait for memory,
    /// and gain.
    public static var available: Int {
        let granted = quota { path in try? String(contentsOfFile: path, encoding: .utf8) }
        return max(1, min(Int(thimble_schedulable_cores()), granted.map { Int($0) } ?? .max))
    }

    /// Cores' worth of time that the control groups of this process grant it (cgroup v2's cpu.max, v1's
    /// cpu.cfs_quota_us): the least over its group and all above; nil where nothing limits it. `read` gives
    /// the content of a file, nil where there is none.
    static func quota(_ read: (String) -> String?) -> Double? {
        guard let groups = read("/proc/self/cgroup") else { return nil }
        var least: Double?
        for line in groups.split(separator: "\n") {
            // hierarchy:controllers:path
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isCurrent = fields[1].isEmpty
            guard isCurrent || fields[1].split(separator: ",").contains("cpu") else { continue }
            for path in ancestors(fields[2]) {
                let text =
                    isCurrent
                    ? read("/sys/fs/cgroup\(path)/cpu.max")
                    : earlierLimit(in: "/sys/fs/cgroup/\(fields[1])\(path)", read)
                if let granted = share(text) { least = min(least ?? granted, granted) }
            }
        }
        return least
    }

    /// What a group of cgroup v1 says, as v2 would say it.
    private static func earlierLimit(in folder: String, _ read: (String) -> String?) -> String? {
        guard let quota = read(folder + "/cpu.cfs_quota_us"), let period = read(folder + "/cpu.cfs_period_us")
        else { return nil }
        return quota + " " + period
    }

    /// The share that `quota period` says; nil for `max` and for v1's -1, which limit nothing.
    private static func share(_ text: String?) -> Double? {
        let fields = text?.split(whereSeparator: \.isWhitespace) ?? []
        guard fields.count == 2, let quota = Double(fields[0]), let period = Double(fields[1]),
            quota > 0, period > 0
        else { return nil }
        return quota / period
    }

    /// `path` and the groups above it; the root is "". In a container the path may be one that only the host
    /// sees, and the root is the container's own group.
    private static func ancestors(_ path: Substring) -> [String] {
        var parts = path.split(separator: "/")
        var paths = [""]
        while !parts.isEmpty {
            paths.append(parts.reduce("") { $0 + "/" + $1 })
            parts.removeLast()
        }
        return paths
    }
}
