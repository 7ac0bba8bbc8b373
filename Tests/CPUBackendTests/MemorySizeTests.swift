//! Holds the size of memory against what control groups say of both versions, made up.

import Testing
@testable import CPUBackend

private func limit(_ files: [String: String]) -> Int? { MemorySize.limit { files[$0] } }

@Test func theLeastMemoryOfAGroupAndThoseAboveItCounts() {
    var files = [
        "/proc/self/cgroup": "0::/a/b\n", "/sys/fs/cgroup/memory.max": "max\n",
        "/sys/fs/cgroup/a/memory.max": "1048576\n", "/sys/fs/cgroup/a/b/memory.max": "4194304\n",
    ]
    #expect(limit(files) == 1_048_576)
    files["/sys/fs/cgroup/a/memory.max"] = "max\n"
    #expect(limit(files) == 4_194_304)
    files["/sys/fs/cgroup/a/b/memory.max"] = "max\n"
    #expect(limit(files) == nil)
}

@Test func theMemoryOfTheFirstVersionOfControlGroupsIsUnderstood() {
    let files = [
        "/proc/self/cgroup": "5:memory:/x\n4:cpu,cpuacct:/x\n0::/\n",
        "/sys/fs/cgroup/memory/x/memory.limit_in_bytes": "2097152\n",
        "/sys/fs/cgroup/memory/memory.limit_in_bytes": "9223372036854771712\n",
    ]
    #expect(limit(files) == 2_097_152)
}

@Test func filesThatSayNothingLimitNoMemory() {
    #expect(limit([:]) == nil)
    for text in ["", "x", "-1", "0", "max", "99999999999999999999", "\u{1F9F5}"] {
        #expect(limit(["/proc/self/cgroup": "0::/\n", "/sys/fs/cgroup/memory.max": text]) == nil)
    }
}

@Test func thisProcessMayUseMemory() { #expect(MemorySize.available > 1 << 20) }
