//! Rows that are looked up in the file are those of the whole table, bit for bit.

import CPUBackend
import Checkpoints
import Foundation
import Memory
import ModelFile
import TestSupport
import Tensors
import Testing

@testable import Models

/// A file with a table of its own, whose tiles end within blocks, and a model whose threads help.
private struct TableFile {
    let folder: TemporaryDirectory
    let file: ModelFile
    let segment: Segment
    static let (rows, columns) = (5_003, 288)
    let backend = CPUBackend(threadCount: 1)

    init(_ format: WeightFormat) throws {
        folder = try TemporaryDirectory()
        let path = folder.path("table.thimble")
        let layout = WeightLayout(rows: Self.rows, columns: Self.columns, format: format)
        var random = SeededGenerator(seed: 9)
        func noise(_ count: Int) -> [UInt8] {
            (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) & 0x3B }
        }
        let (codes, scales) = (noise(layout.codesByteCount), noise(layout.scalesByteCount))
        var writer = try ModelFileWriter(path: path)
        try writer.beginSegment("embedding")
        try writer.beginMatrix("embed_tokens", rows: layout.rows, columns: layout.columns, format: format)
        try unsafe codes.withUnsafeBytes { try unsafe writer.appendCodes($0) }
        unsafe scales.withUnsafeBytes { unsafe writer.appendScales($0) }
        try writer.endTensor()
        try writer.endSegment()
        let source = try ModelFile(path: Self.model(in: folder))
        try writer.commit(source.manifest.model)
        file = try ModelFile(path: path)
        segment = try #require(file.segment(named: "embedding"))
    }

    private static func model(in folder: TemporaryDirectory) throws -> String {
        let path = folder.path("model.thimble")
        _ = try Converter(
            source: SafetensorsFolder(path: ReferenceCase(name: "text-head64").folder.path),
            recipe: Recipe(weights: .f16)
        ).write(to: path, packaging: Packaging(name: "model", creator: "tests"))
        return path
    }

    /// Threads that read a model of their own.
    func store() throws -> WeightStore {
        let model = try ModelFile(path: folder.path("model.thimble"))
        let inventory = WeightInventory(ModelOutline(model))
        let most = Residency.whole(inventory).byteCount(inventory)
        let residency = try #require(
            (1...64).lazy.compactMap { Residency.best(inventory, budget: most * $0 / 64) }.first)
        return try WeightStore(residency, of: model, on: backend, threadCount: 4)
    }

    func whole() throws -> EmbeddingTable {
        let memory = try backend.makeMemory(
            byteCount: segment.entry.imageByteCount, label: "a table", use: .weights)
        try unsafe backend.fill(memory, 0..<memory.byteCount) { try unsafe file.read(segment, into: $0) }
        let tensor = try #require(segment.entry.tensor(named: "embed_tokens"))
        let matrix = Matrix(
            layout: tensor.layout, memory: memory, codesOffset: tensor.codesOffset,
            scalesOffset: tensor.scalesOffset ?? 0)
        return EmbeddingTable(matrix, on: backend)
    }

    func rows(_ tokens: [Int32], of table: EmbeddingTable) throws -> [UInt32] {
        let memory = try backend.makeMemory(byteCount: tokens.count * Self.columns * 4, label: "rows")
        let y = Activation(memory, rows: tokens.count, columns: Self.columns)
        try table.look(up: tokens.span, into: y)
        var bits: [UInt32] = []
        try unsafe backend.read(y) { unsafe bits += $0.map(\.bitPattern) }
        return bits
    }
}

@Suite struct EmbeddingTableTests {
    private static let formats = [WeightFormat.q4(group: 32), .q8(group: 32), .f16]

    @Test(arguments: formats, [false, true])
    func rowsFromTheFileAreThoseOfTheTable(format: WeightFormat, isHelped: Bool) throws {
        let table = try TableFile(format)
        let whole = try table.whole()
        let store = isHelped ? try table.store() : nil
        let some = try [1, 2, 64].map {
            try EmbeddingTable(
                table.segment, of: table.file, tileCount: $0, tokenCount: 700, store: store,
                on: table.backend)
        }
        var random = SeededGenerator(seed: 4)
        let last = Int32(TableFile.rows - 1)
        let prompts: [[Int32]] =
            [
                [0], [last], [last], [3, 3, 3], [40, 39, 15, 16, 0], Array(0..<200),
                Array((0..<300).reversed()),
            ]
            + [2, 90, 700].map { count in
                (0..<count).map { _ in Int32(random.next() % UInt64(TableFile.rows)) }
            }
        for prompt in prompts + prompts {
            let expected = try table.rows(prompt, of: whole)
            for some in some { #expect(try table.rows(prompt, of: some) == expected, "\(prompt)") }
        }
    }

    /// What many tokens need of a block is read once.
    @Test func aBlockIsReadOnceForAllTokensOfIt() throws {
        let table = try TableFile(.q8(group: 32))
        let some = try EmbeddingTable(
            table.segment, of: table.file, tileCount: 400, tokenCount: TableFile.rows, on: table.backend)
        let before = table.file.reads.tally
        // Every tile, in an order that jumps about.
        _ = try table.rows((0..<312).map { Int32($0 * 173 % 312 * 16) }, of: some)
        let read = table.file.reads.tally - before
        #expect(read.byteCount == table.segment.blocks.reduce(0) { $0 + $1.storedByteCount })
        #expect(read.readCount < table.segment.blocks.count)
    }

    @Test(arguments: [false, true])
    func damageIsAnErrorAndWhatIsNotDamagedIsRead(isHelped: Bool) throws {
        let table = try TableFile(.f16)
        let store = isHelped ? try table.store() : nil
        let some = try EmbeddingTable(
            table.segment, of: table.file, tileCount: 64, tokenCount: 700, store: store, on: table.backend)
        let right = try table.rows([0, 5_000], of: table.whole())
        let handle = try FileHandle(forUpdating: URL(filePath: table.file.path))
        try handle.seek(toOffset: UInt64(table.segment.blocks[4].fileOffset + 9))
        try handle.write(contentsOf: [0x47, 0xC1])
        try handle.close()
        let every = stride(from: Int32(0), to: 5_000, by: 16).map { $0 }
        for _ in 0..<2 {
            #expect(throws: ModelError.self) { try table.rows(every, of: some) }
            #expect(try table.rows([0, 5_000], of: some) == right)
        }
    }
}
