//! Where the limits of this process's control groups are stated.

/// A control group of this process, of cgroup v2 or v1.
struct ControlGroup {
    /// Where its files lie.
    let folder: String
    /// Whether it is of v2, which has one hierarchy for all controllers.
    let isCurrent: Bool

    /// The groups of this process that may limit what `controller` grants, and all groups above them. `read`
    /// gives the content of a file, nil where there is none.
    static func all(of controller: Substring, _ read: (String) -> String?) -> [ControlGroup] {
        var groups: [ControlGroup] = []
        for line in (read("/proc/self/cgroup") ?? "").split(separator: "\n") {
            // hierarchy:controllers:path
            let fields = line.split(separator: ":", maxSplits: 2, omittingEmptySubsequences: false)
            guard fields.count == 3 else { continue }
            let isCurrent = fields[1].isEmpty
            guard isCurrent || fields[1].split(separator: ",").contains(controller) else { continue }
            let root = isCurrent ? "/sys/fs/cgroup" : "/sys/fs/cgroup/\(fields[1])"
            groups += ancestors(fields[2]).map { ControlGroup(folder: root + $0, isCurrent: isCurrent) }
        }
        return groups
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
