//! Holds the file of pages: nothing of it is left, and what is read is what was written.

import Foundation
import TestSupport
import Testing

@testable import SessionFiles

private func page(_ seed: Int, _ count: Int) -> [UInt8] {
    var random = SeededGenerator(seed: UInt64(seed))
    return (0..<count).map { _ in UInt8(truncatingIfNeeded: random.next()) }
}

extension SpillFile {
    fileprivate func write(_ page: [UInt8], to slot: Int) throws {
        try unsafe page.withUnsafeBytes { unsafe try write($0, to: slot) }
    }

    fileprivate func read(_ slot: Int) throws -> [UInt8] {
        var page = [UInt8](repeating: 0, count: pageByteCount)
        try unsafe page.withUnsafeMutableBytes { unsafe try read(slot, into: $0) }
        return page
    }
}

@Test(arguments: [1, 4096, 5000]) func pagesComeBackAsTheyWent(byteCount: Int) throws {
    let folder = try TemporaryDirectory()
    let path = folder.path("some/deep/folder")
    let file = try SpillFile(SpillSettings(folder: path, byteLimit: 100_000), pageByteCount: byteCount)
    #expect(file.slotCount == 100_000 / (byteCount > 4096 ? 8192 : 4096))
    // It has no name.
    #expect(try FileManager.default.contentsOfDirectory(atPath: path).isEmpty)
    var random = SeededGenerator(seed: 1)
    var written: [Int: Int] = [:]
    for step in 0..<200 {
        let slot = random.integer(below: file.slotCount)
        try file.write(page(step, byteCount), to: slot)
        written[slot] = step
        let other = random.element(of: Array(written.keys.sorted()))
        #expect(try file.read(other) == page(written[other]!, byteCount))
    }
    file.clear()
    try file.write(page(1, byteCount), to: 0)
    #expect(try file.read(0) == page(1, byteCount))
}

@Test func limitsMakeSlots() throws {
    let folder = try TemporaryDirectory()
    func slots(_ limit: Int?) throws -> Int {
        try SpillFile(
            SpillSettings(folder: folder.url.path, byteLimit: limit), pageByteCount: 4097
        ).slotCount
    }
    #expect(try slots(8191) == 0)
    #expect(try slots(8192) == 1)
    #expect(try slots(0) == 0)
    #expect(try slots(nil) == Int(Int32.max))
}

@Test func whatMayBeWrittenInADayIsWrittenAndNoMore() throws {
    let folder = try TemporaryDirectory()
    let settings = SpillSettings(folder: folder.url.path, byteLimit: nil, writtenADay: 10_000)
    let file = try SpillFile(settings, pageByteCount: 4000)
    try file.write(page(1, 4000), to: 0)
    try file.write(page(2, 4000), to: 1)
    #expect(throws: SpillFault.writtenADay(limit: 10_000)) { try file.write(page(3, 4000), to: 2) }
    #expect(try file.read(0) == page(1, 4000) && file.read(1) == page(2, 4000))
}

@Test func aFolderThatCannotBeIsAnError() throws {
    let folder = try TemporaryDirectory()
    try folder.write([1], to: "file")
    for path in [folder.path("file"), folder.path("file/under"), ""] {
        let error = #expect(throws: SpillFault.self) {
            try SpillFile(SpillSettings(folder: path), pageByteCount: 16)
        }
        guard case .cannotCreate = error else { Issue.record("\(path): \(error as Any)"); continue }
    }
}
