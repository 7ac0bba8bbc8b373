//! What wins where budgets disagree.

import TestSupport
import Testing

@testable import Memory

@Suite struct BudgetMergeTests {
    @Test func aFlagWinsOverTheEnvironmentAndThatOverAFile() throws {
        let file = try BudgetTOMLTests.budget("[run]\ncontext = 1024\nthreads = 2\ndevice = \"cpu\"")
        var environment = Budget()
        environment.run.context = 2048
        environment.run.threads = 4
        var flags = Budget()
        flags.run.context = 4096
        let merged = flags.merged(over: environment.merged(over: file))
        #expect(merged.run.context == 4096)
        #expect(merged.run.threads == 4)
        #expect(merged.run.device == .cpu)
    }

    @Test func everyKeyIsMergedByItself() throws {
        let full = try BudgetTOMLTests.budget(BudgetTOMLTests.everything)
        for key in Budget.keys {
            var only = Budget()
            key.copy(full, &only)
            #expect(key.written(only) == key.written(full))
            #expect(only.merged(over: Budget()) == only, "\(key.path)")
            #expect(Budget().merged(over: only) == only, "\(key.path)")
            // Nothing but this key comes from the one above.
            #expect(only.merged(over: full) == full, "\(key.path)")
            #expect(Budget.keys.filter { $0.written(only) != nil }.map(\.path) == [key.path])
        }
    }

    @Test func pageSettingsAreMergedOneByOne() throws {
        let base = try BudgetTOMLTests.budget("[pages]\ndpi = 72\nfont-size = 9")
        let above = try BudgetTOMLTests.budget("[pages]\nfont-size = 12")
        #expect(above.merged(over: base).pages == ["dpi": .whole(72), "font-size": .whole(12)])
        #expect(Budget().merged(over: base).pages == base.pages)
        #expect(base.merged(over: Budget()).pages == base.pages)
    }

    @Test func mergingKeepsWhatTheUpperSaysAndIsAssociative() {
        var random = SeededGenerator(seed: 12)
        for _ in 0..<caseCount(500) {
            let (top, middle, base) = (
                Budget.random(&random), Budget.random(&random), Budget.random(&random)
            )
            #expect(
                top.merged(over: middle).merged(over: base) == top.merged(over: middle.merged(over: base)))
            #expect(top.merged(over: top) == top)
            let merged = top.merged(over: base)
            for key in Budget.keys {
                #expect(key.written(merged) == key.written(top) ?? key.written(base), "\(key.path)")
            }
        }
    }

    @Test func aMergeThatContradictsItselfIsFound() throws {
        let file = try BudgetTOMLTests.budget("memory.total = \"1GiB\"")
        var flags = Budget()
        flags.memory.device = ByteSize(bytes: 2 << 30)
        let merged = flags.merged(over: file)
        let error = #expect(throws: BudgetError.self) { try merged.validate(file: "--memory") }
        #expect(error?.file == "--memory" && error?.key == "memory.device")
    }
}
