//! Budgets that are valid and otherwise as they come.

import TestSupport
import Tensors

@testable import Memory

extension Budget {
    /// A valid budget; each field is stated or not.
    static func random(_ random: inout SeededGenerator) -> Budget {
        var budget = Budget()
        func maybe<Value>(_ value: (inout SeededGenerator) -> Value) -> Value? {
            let drawn = value(&random)
            return random.integer(below: 3) == 0 ? nil : drawn
        }
        let texts: (inout SeededGenerator) -> [String] = { random in
            (0..<random.integer(below: 4)).map { _ in text(&random) }
        }
        let atLeastOne: (inout SeededGenerator) -> ByteSize = { max(.random(&$0), ByteSize(bytes: 1)) }
        let tokens: (inout SeededGenerator) -> Int = { $0.integer(in: MemoryLimits.tokenCount) }

        budget.name = maybe(text)
        budget.summary = maybe(text)
        budget.sources = maybe(texts)
        budget.memory.total = maybe(atLeastOne)
        let total = budget.memory.total ?? ByteSize(bytes: .max)
        budget.memory.device = maybe { min(.random(&$0), total) }
        budget.memory.host = maybe { min(atLeastOne(&$0), total) }
        budget.run.context = maybe(tokens)
        budget.run.threads = maybe { $0.integer(in: MemoryLimits.threadCount) }
        budget.run.device = maybe {
            $0.element(of: [.automatic, .cpu, .vulkan(nil), .vulkan($0.integer(below: 1024))])
        }
        budget.run.offload = maybe { $0.element(of: Offload.allCases) }
        budget.run.deviceLayers = maybe { $0.integer(in: MemoryLimits.layerCount) }
        budget.run.prefillChunk = maybe(tokens)
        budget.run.imageTokens = maybe(tokens)
        budget.kv.type = maybe { $0.element(of: KVType.allCases) }
        budget.kv.pageTokens = maybe { 8 << $0.integer(below: 6) }
        budget.spill.folder = maybe(text)
        if budget.spill.folder != nil {
            budget.spill.size = maybe(ByteSize.random)
            budget.spill.writtenADay = maybe(ByteSize.random)
        }
        budget.sessions.folder = maybe(text)
        budget.sessions.size = maybe(ByteSize.random)
        budget.sessions.days = maybe { $0.integer(in: MemoryLimits.dayCount) }
        budget.sessions.writtenADay = maybe(ByteSize.random)
        budget.features.memory = maybe(ByteSize.random)
        budget.features.disk = maybe(ByteSize.random)
        budget.pages = maybe { random in
            var pages: [String: PageValue] = [:]
            for _ in 0..<random.integer(below: 5) { pages[text(&random)] = pageValue(&random) }
            return pages
        }
        budget.machine.hostBandwidth = maybe(atLeastOne)
        budget.machine.deviceBandwidth = maybe(atLeastOne)
        budget.machine.busBandwidth = maybe(atLeastOne)
        budget.machine.diskBandwidth = maybe(atLeastOne)
        budget.machine.cores = maybe { $0.integer(in: MemoryLimits.threadCount) }
        budget.thermal.zone = maybe { "/sys/class/thermal/thermal_zone\($0.integer(below: 20))" }
        if budget.thermal.zone != nil {
            budget.thermal.ceilingCelsius = maybe { number(MemoryLimits.celsius, &$0) }
        }
        budget.thermal.powerFile = maybe { "/sys/class/hwmon/hwmon\($0.integer(below: 20))/power1_input" }
        if budget.thermal.powerFile != nil {
            budget.thermal.ceilingWatts = maybe { number(MemoryLimits.watts, &$0) }
        }
        return budget
    }

    /// A whole number or any other.
    private static func number(_ range: ClosedRange<Double>, _ random: inout SeededGenerator) -> Double {
        let number = Double.random(in: range, using: &random)
        return random.integer(below: 2) == 0 ? number : max(number.rounded(), range.lowerBound)
    }

    /// A text of plain and of awkward characters.
    private static func text(_ random: inout SeededGenerator) -> String {
        let characters = "ab C-_.=[]{}#'\"\\\t\n\r\u{1}\u{1B}\u{7F}\u{85}\u{A0}é漢\u{2028}\u{1F600}\u{FEFF}"
            .unicodeScalars
        var text = String.UnicodeScalarView()
        for _ in 0...random.integer(below: 8) { text.append(random.element(of: Array(characters))) }
        return String(text)
    }

    private static func pageValue(_ random: inout SeededGenerator) -> PageValue {
        switch random.integer(below: 5) {
        case 0: .text(text(&random))
        case 1: .whole(Int(bitPattern: UInt(random.next())))
        case 2:
            .number(
                random.element(of: [0, -0.5, 1, 10.25, 1e-300, 1e300, -1e15, 0.1, Double(random.uniform())]))
        case 3: .truth(random.integer(below: 2) == 0)
        default: .texts((0..<random.integer(below: 3)).map { _ in text(&random) })
        }
    }
}
