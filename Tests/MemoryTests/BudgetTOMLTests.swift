//! Budgets read from TOML, key by key, and written so that they are read as the same.

import Foundation
import TestSupport
import Tensors
import Testing

@testable import Memory

@Suite struct BudgetTOMLTests {
    /// A budget that states every key.
    static let everything = #"""
        # Every key that there is.
        name = "everything"
        summary = "A board of no maker"
        sources = ["its data sheet", 'its "manual"']

        [memory]
        device = "900MiB"
        host = 1073741824
        total = "1.5GiB"

        [run]
        context = 8_192
        threads = 4
        device = "vulkan:1"
        offload = "stream"
        gpu-layers = 20
        prefill-chunk = 512
        image-tokens = 1024

        [kv]
        type = "int8"
        page-tokens = 32

        [spill]
        folder = "/var/cache/thimble"
        size = "4GiB"
        written-a-day = "40GB"

        [sessions]
        folder = "/var/lib/thimble"
        size = "2GiB"
        days = 30
        written-a-day = "10GB"

        [features]
        memory = "64MiB"
        disk = "1GiB"

        [pages]
        dpi = 72
        font-size = 9.5
        alignment = "LEFT"
        auto-crop-width = true
        font-fallback = ["a.ttf", "b.ttf"]

        [machine]
        host-bandwidth = "17GB"
        device-bandwidth = "102GB"
        bus-bandwidth = "8GB"
        disk-bandwidth = "900MB"
        cores = 6

        [thermal]
        zone = "/sys/class/thermal/thermal_zone0"
        ceiling-celsius = 80
        power-file = "/sys/class/hwmon/hwmon1/power1_input"
        ceiling-watts = 14.5
        """#

    static func budget(_ toml: String) throws(BudgetError) -> Budget {
        try Budget(toml: Array(toml.utf8), file: "b.toml")
    }

    @Test func everyKeyIsRead() throws {
        let budget = try Self.budget(Self.everything)
        var expected = Budget()
        expected.name = "everything"
        expected.summary = "A board of no maker"
        expected.sources = ["its data sheet", #"its "manual""#]
        expected.memory.device = ByteSize(bytes: 900 << 20)
        expected.memory.host = ByteSize(bytes: 1 << 30)
        expected.memory.total = ByteSize(bytes: 3 << 29)
        expected.run.context = 8192
        expected.run.threads = 4
        expected.run.device = .vulkan(1)
        expected.run.offload = .stream
        expected.run.deviceLayers = 20
        expected.run.prefillChunk = 512
        expected.run.imageTokens = 1024
        expected.kv.type = .int8
        expected.kv.pageTokens = 32
        expected.spill.folder = "/var/cache/thimble"
        expected.spill.size = ByteSize(bytes: 4 << 30)
        expected.spill.writtenADay = ByteSize(bytes: 40_000_000_000)
        expected.sessions.folder = "/var/lib/thimble"
        expected.sessions.size = ByteSize(bytes: 2 << 30)
        expected.sessions.days = 30
        expected.sessions.writtenADay = ByteSize(bytes: 10_000_000_000)
        expected.features.memory = ByteSize(bytes: 64 << 20)
        expected.features.disk = ByteSize(bytes: 1 << 30)
        expected.pages = [
            "dpi": .whole(72), "font-size": .number(9.5), "alignment": .text("LEFT"),
            "auto-crop-width": .truth(true), "font-fallback": .texts(["a.ttf", "b.ttf"]),
        ]
        expected.machine.hostBandwidth = ByteSize(bytes: 17_000_000_000)
        expected.machine.deviceBandwidth = ByteSize(bytes: 102_000_000_000)
        expected.machine.busBandwidth = ByteSize(bytes: 8_000_000_000)
        expected.machine.diskBandwidth = ByteSize(bytes: 900_000_000)
        expected.machine.cores = 6
        expected.thermal.zone = "/sys/class/thermal/thermal_zone0"
        expected.thermal.ceilingCelsius = 80
        expected.thermal.powerFile = "/sys/class/hwmon/hwmon1/power1_input"
        expected.thermal.ceilingWatts = 14.5
        #expect(budget == expected)
        // No key that the list has is missing above.
        #expect(Budget.keys.filter { $0.written(budget) == nil }.map(\.path) == [])
    }

    @Test func anEmptyFileSaysNothing() throws {
        #expect(try Self.budget("") == Budget())
        #expect(try Self.budget("# nothing\n[memory]\n[run]\n") == Budget())
        #expect(Budget().toml.isEmpty)
    }

    @Test(arguments: ["auto", "cpu", "vulkan", "vulkan:0", "vulkan:1023"])
    func aDeviceIsWhatItsNameSays(_ name: String) throws {
        #expect(try Self.budget("run.device = \"\(name)\"").run.device?.description == name)
    }

    @Test func everyWordIsRead() throws {
        for word in Budget.Offload.allCases {
            #expect(try Self.budget("run.offload = \"\(word.rawValue)\"").run.offload == word)
        }
        for word in KVType.allCases {
            #expect(try Self.budget("kv.type = \"\(word.rawValue)\"").kv.type == word)
        }
        #expect(Budget.Offload.allCases.map(\.rawValue) == ["auto", "none", "cpu", "stream"])
        #expect(KVType.allCases.map(\.rawValue) == ["f16", "int8", "int5"])
    }

    @Test func pageSettingsBecomeJSON() throws {
        let json = try #require(try Self.budget(Self.everything).pageSettingsJSON)
        #expect(
            json == #"{"alignment":"LEFT","auto-crop-width":true,"dpi":72,"font-fallback":["a.ttf","b.ttf"],"#
                + #""font-size":9.5}"#)
        #expect(try Self.budget("[pages]").pageSettingsJSON == "{}")
        #expect(Budget().pageSettingsJSON == nil)
    }

    @Test func whatIsWrittenIsReadAsTheSame() throws {
        let budget = try Self.budget(Self.everything)
        #expect(try Self.budget(budget.toml) == budget)
        // The order and the spelling of a written budget are settled.
        #expect(try Self.budget(budget.toml).toml == budget.toml)
    }

    @Test func anyBudgetIsReadAsItIsWritten() throws {
        var random = SeededGenerator(seed: 11)
        for _ in 0..<caseCount(2000) {
            let budget = Budget.random(&random)
            try budget.validate()
            #expect(try Self.budget(budget.toml) == budget, "\(budget.toml)")
            // Never a trap, and JSON whatever the texts are.
            let json = budget.pageSettingsJSON.map { Data($0.utf8) }
            #expect(try json.map { try JSONSerialization.jsonObject(with: $0) is [String: Any] } ?? true)
        }
    }

    @Test func aWrittenBudgetIsWhatAPersonWouldWrite() throws {
        var budget = Budget()
        budget.name = "small"
        budget.sources = ["a page"]
        budget.memory.host = ByteSize(bytes: 2 << 30)
        budget.thermal.zone = "/sys/class/thermal/thermal_zone0"
        budget.thermal.ceilingCelsius = 80
        budget.pages = ["dpi": .number(72), "a b": .text("c")]
        #expect(
            budget.toml == """
                name = "small"
                sources = [
                    "a page",
                ]

                [memory]
                host = "2GiB"

                [thermal]
                zone = "/sys/class/thermal/thermal_zone0"
                ceiling-celsius = 80

                [pages]
                "a b" = "c"
                dpi = 72.0

                """)
    }
}
