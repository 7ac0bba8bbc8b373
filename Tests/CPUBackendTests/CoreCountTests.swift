//! Holds the count of cores against what control groups say of both versions, made up.

import Testing
@testable import CPUBackend

private func quota(_ files: [String: String]) -> Double? { CoreCount.quota { files[$0] } }

@Test func theLeastQuotaOfAGroupAndThoseAboveItCounts() {
    let groups = ["/proc/self/cgroup": "0::/a/b\n"]
    func limits(_ root: String, _ a: String, _ b: String) -> [String: String] {
        groups.merging([
            "/sys/fs/cgroup/cpu.max": root, "/sys/fs/cgroup/a/cpu.max": a, "/sys/fs/cgroup/a/b/cpu.max": b,
        ]) { $1 }
    }
    #expect(quota(limits("max 100000\n", "400000 100000\n", "max 100000\n")) == 4)
    #expect(quota(limits("150000 100000\n", "400000 100000\n", "300000 100000\n")) == 1.5)
    #expect(quota(limits("max 100000\n", "max 100000\n", "max 100000\n")) == nil)
}

@Test func aContainerSeesItsOwnGroupAsTheRoot() {
    let files = ["/proc/self/cgroup": "0::/../../docker/123\n", "/sys/fs/cgroup/cpu.max": "50000 100000\n"]
    #expect(quota(files) == 0.5)
}

@Test func theFirstVersionOfControlGroupsIsUnderstood() {
    let groups = "5:memory:/x\n4:cpu,cpuacct:/x\n1:name=systemd:/x\n"
    let folder = "/sys/fs/cgroup/cpu,cpuacct/x"
    var files = [
        "/proc/self/cgroup": groups, folder + "/cpu.cfs_quota_us": "250000\n",
        folder + "/cpu.cfs_period_us": "100000\n",
    ]
    #expect(quota(files) == 2.5)
    files[folder + "/cpu.cfs_quota_us"] = "-1\n"
    #expect(quota(files) == nil)
}

@Test func filesThatSayNothingLimitNothing() {
    #expect(quota([:]) == nil)
    for text in ["", "100000", "x y", "0 100000", "1 0", "1 2 3", "\u{1F9F5}"] {
        #expect(quota(["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/cpu.max": text]) == nil)
        #expect(quota(["/proc/self/cgroup": text]) == nil)
    }
}

@Test func thisProcessHasACore() { #expect((1...65_536).contains(CoreCount.available)) }
