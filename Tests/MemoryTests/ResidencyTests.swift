//! What every residency must be, whatever the model and the memory.

import Checkpoints
import Foundation
import Memory
import ModelFile
import Tensors
import TestSupport
import Testing

/// A model of random shape, as a file.
private func inventory(_ generator: inout SeededGenerator, in folder: TemporaryDirectory) throws
    -> WeightInventory
{
    let name = Bool.random(using: &generator) ? "two-images-head128" : "text-head64"
    var configuration = try HuggingFaceConfiguration.read(
        configurationPath: Fixtures.url("reference/\(name)/config.json").path)
    configuration.text.layerCount = Int.random(in: 1...9, using: &generator)
    configuration.text.vocabularySize = Int.random(in: 200...5000, using: &generator)
    configuration.text.intermediateSize = 32 * Int.random(in: 1...40, using: &generator)
    configuration.text.tiesEmbedding = Bool.random(using: &generator)
    let formats: [ElementType] = [.f16, .q8, .q4]
    let path = folder.path("model-\(generator.next()).thimble")
    _ = try Converter(
        source: RandomSource(configuration: configuration),
        recipe: Recipe(weights: formats[Int.random(in: 0..<3, using: &generator)])
    ).write(to: path, packaging: Packaging(name: "random", creator: "tests"))
    return WeightInventory(ModelOutline(try ModelFile(path: path)))
}

@Suite struct ResidencyTests {
    @Test func everyResidencyFitsAndHoldsEveryMatrixOnce() throws {
        let folder = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 11)
        for _ in 0..<caseCount(20) {
            let inventory = try inventory(&generator, in: folder)
            let whole = Residency.whole(inventory).byteCount(inventory)
            for step in 0...40 {
                let budget = whole * step / 40
                guard let residency = Residency.best(inventory, budget: budget) else { continue }
                #expect(residency.byteCount(inventory) <= budget)
                checkUnits(residency, inventory)
                checkPlaces(residency.decoder, arena: residency.arenaByteCount)
                checkPlaces(residency.vision, arena: residency.arenaByteCount)
            }
            #expect(Residency.best(inventory, budget: whole)?.isWhole == true)
            #expect(Residency.best(inventory, budget: 0) == nil)
        }
    }

    @Test func moreMemoryNeverReadsMore() throws {
        let folder = try TemporaryDirectory()
        var generator = SeededGenerator(seed: 12)
        for _ in 0..<caseCount(20) {
            let inventory = try inventory(&generator, in: folder)
            let whole = Residency.whole(inventory).byteCount(inventory)
            var last: Int?
            for step in 0...60 {
                let residency = Residency.best(inventory, budget: whole * step / 60)
                if last != nil { #expect(residency != nil, "what fits less memory fits more") }
                guard let residency else { continue }
                let read = residency.decoder.passing.reduce(0) { $0 + $1.byteCount }
                // A segment more or less comes of keeping whole ones; two units, of a ring that grows.
                let units = residency.decoder.units.map(\.byteCount).max() ?? 0
                let slack = 2 * units + (inventory.decoder.map { inventory.byteCount(of: [$0]) }.max() ?? 0)
                if let last { #expect(read <= last + slack) }
                last = min(last ?? .max, read)
            }
            #expect(last == 0)
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
