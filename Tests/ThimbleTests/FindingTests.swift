//! What an examination makes of facts: every fault is found, named and mended, whatever this machine is like.

import Documents
import Foundation
import TestSupport
import Testing

@testable import Thimble

/// A machine on which everything is well: a GPU, 16 GiB, a checked model.
private var wellMachine: MachineFacts {
    var facts = MachineFacts()
    facts.devices = [
        DeviceDescription(name: "cpu", title: "CPU", kernels: "avx2", threadCount: 4), gpu(rejection: nil),
    ]
    facts.hasVulkanLoader = true
    facts.driverManifests = ["/usr/share/vulkan/icd.d/radeon_icd.json"]
    facts.renderNodes = [.init(path: "/dev/dri/renderD128", mayBeOpened: true)]
    facts.installedMemory = 16 << 30
    facts.availableMemory = 12 << 30
    facts.hostLimit = 2 << 30
    for purpose in MachineFacts.Folder.Purpose.allCases {
        var folder = MachineFacts.Folder(purpose, path: "/somewhere/\(purpose.rawValue)")
        folder.freeByteCount = 10 << 30
        folder.readsDirectly = true
        facts.folders.append(folder)
    }
    facts.fonts = [.init(name: "DejaVuSans.ttf")]
    facts.hasCJKFont = true
    facts.helpers = MachineFacts.helperNames.map { .init(name: $0, path: "/usr/bin/\($0)") }
    facts.model = .init(path: "model.thimble")
    facts.model?.byteCount = 1 << 30
    facts.model?.readsDirectly = true
    return facts
}

private func gpu(rejection: String?) -> DeviceDescription {
    var device = DeviceDescription(name: "vulkan:0", title: "Some GPU", kernels: "plain", threadCount: 4)
    device.vulkan = .init(
        driver: "driver 1", kind: "integrated", apiVersion: "1.3.0", heaps: [], subgroupSize: 32,
        hasFloat16: true, hasInt8: true, hasIntegerDotProduct: true, hasCooperativeMatrix: false,
        hasCooperativeMatrix2: false, rejection: rejection)
    return device
}

/// One thing that is amiss, and what is said of it.
private struct Ailment: Sendable, CustomTestStringConvertible {
    var check: String
    var verdict: Finding.Verdict
    /// Of the mend.
    var word: String
    var change: @Sendable (inout MachineFacts) -> Void

    init(
        _ check: String, _ verdict: Finding.Verdict, _ word: String,
        _ change: @escaping @Sendable (inout MachineFacts) -> Void
    ) {
        (self.check, self.verdict, self.word, self.change) = (check, verdict, word, change)
    }

    var testDescription: String { "\(verdict) of \(check): \(word)" }
}

/// Ailments of what a GPU needs: each a warning, and a fault where a GPU is asked for.
private let ailmentsOfGPUs: [Ailment] = [
    Ailment("vulkan loader", .warn, "libvulkan1") { $0.hasVulkanLoader = false },
    Ailment("vulkan drivers", .warn, "mesa-vulkan-drivers") { $0.driverManifests = [] },
    Ailment("vulkan drivers", .warn, "VK_LOADER_DEBUG") { $0.vulkanFault = "the driver does not start" },
    Ailment("render nodes", .warn, "usermod") { $0.renderNodes[0].mayBeOpened = false },
    Ailment("render nodes", .warn, "/dev/dri") {
        $0.renderNodes = []
        $0.devices.removeLast()
    },
    Ailment("devices", .warn, "driver") { $0.devices[1] = gpu(rejection: "it has no Vulkan 1.3") },
]

private let ailments: [Ailment] = [
    Ailment("budget", .fail, "--budget") { $0.budgetFault = "x.toml: line 1: no such key" },
    Ailment("memory", .fail, "--host-memory 14745MiB") { $0.hostLimit = 17 << 30 },
    Ailment("memory", .warn, "end other programs") { $0.availableMemory = 1 << 30 },
    Ailment("memory", .warn, "read as they are used") {
        $0.hostLimit = nil
        $0.model?.byteCount = 13 << 30
    },
    Ailment("control group", .warn, "THIMBLE_HOST_MEMORY") {
        $0.groupLimit = 4 << 30
        $0.hostLimit = nil
    },
    Ailment("memory", .fail, "--host-memory 921MiB") { $0.groupLimit = 1 << 30 },
    Ailment("address space", .warn, "ulimit -v") { $0.addressLimit = 4 << 30 },
    Ailment("address space", .fail, "ulimit -v") { $0.addressLimit = 1 << 30 },
    Ailment("cache folder", .warn, "XDG_CACHE_HOME") { $0.folders[0].fault = "cannot be written" },
    Ailment("cache folder", .warn, "make room") { $0.folders[0].freeByteCount = 1 << 20 },
    Ailment("spill folder", .fail, "spill.folder") { $0.folders[1].fault = "cannot be written" },
    Ailment("spill folder", .warn, "make room") { $0.folders[1].allowedByteCount = 11 << 30 },
    Ailment("sessions folder", .warn, "--session-folder") { $0.folders[2].fault = "cannot be written" },
    Ailment("fonts", .fail, "fonts-dejavu-core") { $0.fonts[0].fault = "font DejaVuSans.ttf was not found" },
    Ailment("fonts", .fail, "--font") {
        $0.fonts.append(.init(name: "Verdana.ttf", fault: "font Verdana.ttf was not found"))
    },
    Ailment("fonts for CJK", .warn, "fonts-noto-cjk") { $0.hasCJKFont = false },
    Ailment("helpers", .warn, "poppler-utils") { $0.helpers[0].path = nil },
    Ailment("libraries", .warn, "libzip4 libmd4c0") { $0.missingLibraries = [.zip, .markdown] },
    Ailment("model", .warn, "THIMBLE_MODEL") { $0.model = nil },
    Ailment("model", .fail, "copy the file again") { $0.model?.fault = "model.thimble: damaged" },
    Ailment("direct reads", .warn, "ext4") { $0.model?.readsDirectly = false },
    Ailment("sensors", .fail, "[thermal]") { $0.sensorFault = "no sensor tells a number there" },
]

@Suite struct FindingTests {
    /// Findings that are not as they should be.
    private func amiss(_ facts: MachineFacts) -> [Finding] { facts.findings.filter { $0.verdict != .pass } }

    @Test func aMachineThatIsWellPassesEverything() {
        #expect(amiss(wellMachine).isEmpty)
        #expect(wellMachine.findings.allSatisfy { $0.mend == nil && !$0.message.isEmpty })
        #expect(Set(wellMachine.findings.map(\.check)).count == wellMachine.findings.count)
    }

    @Test(arguments: ailments + ailmentsOfGPUs)
    private func anAilmentIsNamedAndMended(ailment: Ailment) throws {
        var facts = wellMachine
        ailment.change(&facts)
        let found = amiss(facts)
        let finding = try #require(found.first { $0.check == ailment.check }, "\(found)")
        #expect(finding.verdict == ailment.verdict, "\(finding)")
        #expect(finding.mend?.contains(ailment.word) == true, "\(finding)")
        #expect(found.allSatisfy { $0.mend?.isEmpty == false }, "\(found)")
    }

    @Test(arguments: ailmentsOfGPUs)
    private func whatKeepsAGPUThatIsAskedForFromRunningIsAFault(ailment: Ailment) {
        var facts = wellMachine
        ailment.change(&facts)
        facts.wantsGPU = true
        #expect(amiss(facts).contains { $0.check == ailment.check && $0.verdict == .fail })
    }

    @Test func aMachineOfNothingButAProcessorRuns() {
        var facts = wellMachine
        facts.devices.removeLast()
        facts.renderNodes = []
        facts.hasVulkanLoader = false
        facts.driverManifests = []
        #expect(amiss(facts).allSatisfy { $0.verdict == .warn })
        facts.wantsGPU = true
        #expect(amiss(facts).contains { $0.check == "devices" && $0.verdict == .fail })
    }

    /// The CPU's own Vulkan driver is no GPU, but it is what a test asks for.
    @Test func aDriverThatComputesOnTheProcessorServesWhoAsksForIt() {
        var facts = wellMachine
        facts.devices[1].vulkan?.kind = "cpu"
        facts.wantsGPU = true
        #expect(facts.findings.first { $0.check == "devices" }?.verdict == .pass)
    }

    @Test func nothingIsKnownAndNothingTraps() {
        #expect(!MachineFacts().findings.isEmpty)
    }
}

@Suite struct ObservationTests {
    @Test func availableMemoryIsReadInKibibytes() {
        let text = "MemTotal:       24655396 kB\nMemAvailable:   23025292 kB\n"
        #expect(MachineFacts.available(information: text) == 23_025_292 * 1024)
        #expect(MachineFacts.available(information: "MemTotal: 1 kB") == nil)
    }

    @Test func manifestsAreLookedForWhereTheLoaderLooks() {
        #expect(
            MachineFacts.manifestFolders(["VK_DRIVER_FILES": "/a.json:/b.json"]) == ["/a.json", "/b.json"])
        let usual = MachineFacts.manifestFolders(["HOME": "/mine"])
        #expect(usual.contains("/usr/share/vulkan/icd.d"))
        #expect(usual.contains("/mine/.local/share/vulkan/icd.d"))
    }

    @Test func aProgramIsThereWhereItMayBeRun() throws {
        let folder = try TemporaryDirectory()
        let path = try folder.write("#!/bin/sh\n".utf8, to: "pdfthing")
        #expect(MachineFacts.program("pdfthing", in: folder.url.path) == nil)
        try FileManager.default.setAttributes([.posixPermissions: 0o755], ofItemAtPath: path)
        #expect(MachineFacts.program("pdfthing", in: folder.url.path) == path)
    }

    @Test func aFolderThatIsYetToBeMadeIsJudgedByTheOneAboveIt() throws {
        let above = try TemporaryDirectory()
        let folder = MachineFacts.folder(.spill, above.path("a/b/c"), allowed: 5)
        #expect(folder.fault == nil && folder.freeByteCount ?? 0 > 0 && folder.allowedByteCount == 5)
        #expect(above.contents.isEmpty, "nothing is made")
        let file = try above.write([1], to: "file")
        #expect(MachineFacts.folder(.spill, "\(file)/below", allowed: nil).fault != nil)
    }

    @Test func aModelThatIsNotThereIsAFault() throws {
        let folder = try TemporaryDirectory()
        let facts = MachineFacts.observe(
            MachineFacts.Subject(
                model: folder.path("none.thimble"), budget: .success(Budget()),
                environment: ["XDG_CACHE_HOME": folder.url.path]))
        #expect(facts.model?.fault?.contains("none.thimble") == true)
        #expect(facts.devices.first?.name == "cpu" && facts.installedMemory > 0)
    }
}
