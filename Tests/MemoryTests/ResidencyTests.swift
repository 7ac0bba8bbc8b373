//! What every residency must be, whatever the model and the memory.

import ModelFile
import Tensors
import TestSupport
import Testing

@testable import Memory

@Suite struct ResidencyTests {
    @Test func everyResidencyFitsAndHoldsEveryMatrixOnce() throws {
        let folder = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<exampleCount(20) {
            let inventory = try RandomModel(&generator, in: folder).inventory
            let whole = Residency.whole(inventory).byteCount(inventory)
            let ladder = ResidencyLadder(inventory)
            for step in 0...40 {
                let budget = whole * step / 40
                guard let residency = ladder.best(within: budget)?.residency else { continue }
                #expect(residency.byteCount(inventory) <= budget)
                checkUnits(residency, inventory)
                checkPlaces(residency.decoder, arena: residency.arenaByteCount)
                checkPlaces(residency.vision, arena: residency.arenaByteCount)
            }
            #expect(ladder.best(within: whole)?.residency.isWhole == true)
            #expect(ladder.best(within: 0) == nil)
        }
    }

    @Test func withMoreMemoryNoPassHasMoreToDo() throws {
        let folder = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 12)
        for _ in 0..<exampleCount(20) {
            let inventory = try RandomModel(&generator, in: folder).inventory
            let whole = Residency.whole(inventory).byteCount(inventory)
            let ladder = ResidencyLadder(inventory)
            var last: Residency.Passes?
            for step in 0...60 {
                let rung = ladder.best(within: whole * step / 60)
                if last != nil { #expect(rung != nil, "what fits less memory fits more") }
                guard let rung else { continue }
                if let last { #expect(rung.passes.isWithin(last), "\(rung.passes) after \(last)") }
                last = rung.passes
                // What is promised is kept, and is not much less than could be.
                let kept = rung.residency.passes(inventory)
                #expect(kept.isWithin(rung.passes) && rung.passes.isWithin(kept, roughly: true), "\(kept)")
            }
            #expect(last?.token == WeightTraffic() && last?.image == WeightTraffic())
        }
    }

    /// How a model was cut for another budget changes nothing.
    @Test func aModelThatWasCutBeforeIsCutAlike() throws {
        let folder = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 14)
        for _ in 0..<exampleCount(20) {
            let inventory = try RandomModel(&generator, in: folder).inventory
            let whole = Residency.whole(inventory).byteCount(inventory)
            var cuts = UnitCuts(inventory)
            for _ in 0..<40 {
                let budget = generator.integer(below: whole + 1)
                let kept = Residency.fitting(&cuts, budget: budget)
                #expect(kept == Residency.fitting(inventory, budget: budget), "\(budget) of \(whole)")
            }
        }
    }

    /// What holding on to smaller budgets' residencies costs: of models as small as these, whose blocks are
    /// as large as their units, half of the decoder at most.
    @Test func littleIsLostByNeverReadingMore() throws {
        let folder = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 13)
        for _ in 0..<exampleCount(20) {
            let inventory = try RandomModel(&generator, in: folder).inventory
            let whole = Residency.whole(inventory).byteCount(inventory)
            let ladder = ResidencyLadder(inventory)
            let decoder =
                inventory.byteCount(of: inventory.decoder)
                + (inventory.tiesEmbedding ? inventory.byteCount(of: [inventory.embedding]) : 0)
            for step in 1...60 {
                let budget = whole * step / 60
                guard let best = ladder.best(within: budget),
                    let fitting = Residency.fitting(inventory, budget: budget)
                else { continue }
                let lost =
                    best.residency.passes(inventory).token.reading - fitting.passes(inventory).token.reading
                let units = fitting.decoder.units.map(\.byteCount).max() ?? 0
                #expect(
                    lost <= decoder / 2 + 2 * units + 4 * WeightTraffic.unitCost,
                    "\(lost) of \(decoder) in \(budget)")
            }
        }
    }

    @Test func leastBudgetsAreTheLeast() throws {
        let folder = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 14)
        for _ in 0..<exampleCount(10) {
            let inventory = try RandomModel(&generator, in: folder).inventory
            let ladder = ResidencyLadder(inventory)
            let (least, quiet) = (ladder.leastBudget, ladder.leastQuietBudget)
            #expect(ladder.best(within: least) != nil && ladder.best(within: least - 1) == nil)
            #expect(ladder.best(within: quiet)?.residency.decoder.passing.isEmpty == true)
            if quiet > least {
                #expect(ladder.best(within: quiet - 1)?.residency.decoder.passing.isEmpty == false)
            }
        }
    }

    /// Every matrix of the decoder and the tower is in a resident segment or in the units of its cycle.
    private func checkUnits(_ residency: Residency, _ inventory: WeightInventory) {
        for (indices, cycle) in [
            (inventory.decoder, residency.decoder), (inventory.vision, residency.vision),
        ] {
            var tiles: [String: Int] = [:]
            for unit in cycle.units {
                for index in unit.tensors {
                    let tensor = inventory.segments[unit.segment].entry.tensors[index]
                    guard tensor.kind == .matrix else { continue }
                    tiles["\(unit.segment).\(tensor.name)", default: 0] +=
                        unit.tiles?.count ?? tensor.layout.tileCount
                }
            }
            var segments = indices.filter { !residency.resident.contains($0) }
            let head = inventory.head.segment
            if indices == inventory.decoder, inventory.tiesEmbedding, !residency.resident.contains(head) {
                segments.append(head)
            }
            for segment in segments {
                for tensor in inventory.segments[segment].entry.tensors where tensor.kind == .matrix {
                    #expect(tiles["\(segment).\(tensor.name)"] == tensor.layout.tileCount)
                    tiles["\(segment).\(tensor.name)"] = nil
                }
            }
            #expect(tiles.isEmpty, "nothing else is read")
        }
    }

    /// Places are inside the arena, aligned, and clear of each other; the ring holds the largest that passes.
    private func checkPlaces(_ cycle: WeightCycle, arena: Int) {
        #expect(cycle.homes.count == cycle.units.count)
        var end = cycle.ring.upperBound
        for (unit, home) in zip(cycle.units, cycle.homes) {
            #expect(unit.byteCount > 0 && unit.byteCount % 64 == 0)
            guard let home else {
                #expect(unit.byteCount <= cycle.ring.count)
                continue
            }
            #expect(home >= end && home % 64 == 0)
            end = home + unit.byteCount
        }
        #expect(end <= arena)
    }
}
