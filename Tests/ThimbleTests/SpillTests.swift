//! Holds conversations that memory has no room for at once: they answer as if it had.

import Foundation
import Models
import SessionFiles
import TestSupport
import Testing

@testable import Thimble

/// Conversations of which one and a half fit in memory, in turns.
private func talk(_ engine: Engine, turns: Int = 2) throws -> [String] {
    let sessions = (0..<4).map { number in
        let session = engine.makeSession()
        let text = (0..<10).map { "Number \(number * 31 + $0 * 7)." }.joined(separator: " ")
        session.append(
            Message(.user, number % 2 == 0 ? [.image(picture(number)), .text(text)] : [.text(text)]))
        return session
    }
    var texts: [String] = []
    for _ in 0..<turns {
        for session in sessions {
            texts.append(try answer(session, 20).text)
            session.append(Message(.user, "Go on"))
        }
    }
    return texts
}

@Test func conversationsOnDiskAnswerAsThoseInMemory() throws {
    let reader = try RandomReader(contextLength: 1024)
    let folder = try TemporaryDirectory()
    let expected = try talk(reader.engine)
    let engine = try reader.load {
        $0.contextLength = 256
        $0.spill = SpillSettings(folder: folder.url.path)
    }
    #expect(try talk(engine) == expected)
    #expect(engine.pool.spilledPageCount == 0 && folder.contents.isEmpty)
}

/// Pages of other sizes come and go alike.
@Test(arguments: [8, 32])
func pagesOfEverySizeComeBackFromDisk(pageTokens: Int) throws {
    let reader = try RandomReader(contextLength: 1024)
    let folder = try TemporaryDirectory()
    let expected = try talk(reader.engine)
    let engine = try reader.load {
        $0.contextLength = 256
        $0.pageTokens = pageTokens
        $0.spill = SpillSettings(folder: folder.url.path)
    }
    #expect(engine.pool.pageTokens == pageTokens && engine.pool.pageCount == 256 / pageTokens)
    let item = engine.plan.items.first { $0.name == "pages on their way" }
    #expect(item?.byteCount == engine.pool.pageByteCount)
    #expect(try talk(engine) == expected)
}

@Test func withoutAFolderAFullPoolSaysSo() throws {
    let reader = try RandomReader(contextLength: 256)
    let error = #expect(throws: ThimbleError.self) { try talk(reader.engine) }
    #expect(error?.code == .contextFull && error?.message.contains("of the 256 that all") == true)
    #expect(error?.message.contains("[spill]") == true)
}

@Test func limitsOfTheFolderAreNamed() throws {
    let reader = try RandomReader(contextLength: 256)
    let folder = try TemporaryDirectory()
    for (limit, written, word) in [(20_000, nil, "spill.size"), (nil, 50_000, "spill.written-a-day")]
        as [(Int?, Int?, String)]
    {
        let engine = try reader.load {
            $0.spill = SpillSettings(folder: folder.url.path, byteLimit: limit, writtenADay: written)
        }
        let error = #expect(throws: ThimbleError.self) { try talk(engine) }
        #expect(error?.code == .contextFull && error?.message.contains(word) == true)
        #expect(error?.message.contains("\(limit ?? written ?? 0) bytes") == true)
    }
}

@Test func aFolderThatCannotBeIsRefusedAtLoad() throws {
    let reader = try RandomReader(contextLength: 64)
    let folder = try TemporaryDirectory()
    try folder.write([1], to: "file")
    func code(_ settings: SpillSettings) -> ThimbleError.Code? {
        #expect(throws: ThimbleError.self) { try reader.load { $0.spill = settings } }?.code
    }
    #expect(code(SpillSettings(folder: folder.path("file"))) == .cannotCreate)
    #expect(code(SpillSettings(folder: folder.url.path, byteLimit: -1)) == .invalidArgument)
    #expect(code(SpillSettings(folder: folder.url.path, writtenADay: -1)) == .invalidArgument)
}

@Test func theWayToDiskIsPlannedAndDrawn() throws {
    let reader = try RandomReader(contextLength: 256)
    let folder = try TemporaryDirectory()
    var budget = Budget()
    budget.spill.folder = folder.url.path
    budget.spill.size = ByteSize("1MiB")
    budget.spill.writtenADay = ByteSize("1GB")
    let spill = try EngineOptions(budget).spill
    #expect(
        spill == SpillSettings(folder: folder.url.path, byteLimit: 1 << 20, writtenADay: 1_000_000_000))
    let engine = try reader.load { $0.spill = spill }
    let item = engine.plan.items.first { $0.name == "pages on their way" }
    #expect(item?.byteCount == engine.pool.pageByteCount && item?.place == .host)
    #expect(engine.ledger.entries.contains { $0.name == "pages on their way" && $0.byteCount > 0 })
}

extension VulkanModelTests {
    /// Pages go from the device to disk, come back to other places, and are copied there; so do those of
    /// which a part lies in the host's memory, where the CPU computes a layer.
    @Test(arguments: [(nil, .f16), (1, .f16), (nil, .int5), (1, .int8)] as [(Int?, KVType)])
    static func conversationsOnDiskAnswerAsThoseOnTheDevice(deviceLayers: Int?, type: KVType) throws {
        let reader = try RandomReader(contextLength: 1024)
        let folder = try TemporaryDirectory()
        let engine = try device.engine(reader.path, contextLength: 1024) {
            ($0.deviceLayerCount, $0.kvType) = (deviceLayers, type)
        }
        let small = try device.engine(reader.path, contextLength: 256) {
            ($0.deviceLayerCount, $0.kvType) = (deviceLayers, type)
            $0.spill = SpillSettings(folder: folder.url.path)
        }
        #expect(small.plan.parts.count == (deviceLayers == nil ? 1 : 2))
        #expect(try talk(small, turns: caseCount(2)) == talk(engine, turns: caseCount(2)))
    }
}
