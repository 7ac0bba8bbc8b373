//! How many cores this process may compute on.

internal import CKernels
internal import HostSystem

/// The limits on a process's cores: the scheduler's and its control groups'.
public enum CoreCount {
    /// Cores that this process may compute on, at least 1: those it may be scheduled on, and no more than the
    /// time that its control groups grant it amounts to.
    ///
    /// Both halves of a core that runs two threads count. Products with many tokens keep a core's arithmetic
    /// busy and gain little from its second half, but lose nothing; decoding and attention wait for memory,
    /// and gain.
    public static var available: Int {
        let granted = quota(SystemText.contents)
        return max(1, min(Int(thimble_schedulable_cores()), granted.map { Int($0) } ?? .max))
    }

    /// Cores' worth of time that the control groups of this process grant it (cgroup v2's cpu.max, v1's
    /// cpu.cfs_quota_us): the least over its group and all above; nil where nothing limits it. `read` gives
    /// the content of a file, nil where there is none.
    static func quota(_ read: (String) -> String?) -> Double? {
        ControlGroup.all(of: "cpu", read).compactMap { group in
            share(
                group.isCurrent
                    ? read(group.folder + "/cpu.max") : earlierLimit(in: group.folder, read))
        }.min()
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
}
