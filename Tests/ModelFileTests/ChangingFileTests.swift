//! A file that is cut, overwritten, replaced or removed while it is read: an error or the model, never a
//! signal and never a mixture.

import Foundation
import TestSupport
import Testing
import Threads

@testable import ModelFile

/// What somebody else does to a file that is in use.
private enum Change: String, CaseIterable {
    case cut, emptied, grown, overwritten, replaced, removed

    /// Does it to `path`; `other` holds another model of the same layout.
    func apply(to path: String, other: [UInt8]) throws {
        let url = URL(filePath: path)
        switch self {
        case .cut: try Self.truncate(path, to: other.count / 2)
        case .emptied: try Self.truncate(path, to: 0)
        case .grown: try Self.truncate(path, to: other.count + 4096)
        case .overwritten:
            // In place, from the first byte on, as `cp` does.
            let handle = try FileHandle(forWritingTo: url)
            for start in stride(from: 0, to: other.count, by: 65536) {
                try handle.write(contentsOf: other[start..<min(start + 65536, other.count)])
            }
            try handle.close()
        case .replaced:
            let beside = url.appendingPathExtension("new")
            try Data(other).write(to: beside)
            try #require(unsafe rename(beside.path, path) == 0)
        case .removed: try FileManager.default.removeItem(at: url)
        }
    }

    private static func truncate(_ path: String, to byteCount: Int) throws {
        try #require(unsafe Glibc.truncate(path, off_t(byteCount)) == 0)
    }

    /// Whether who has the file open still has all of it.
    var leavesTheOpenFile: Bool { self == .replaced || self == .removed }
}

/// What one who reads and one who changes the file tell each other.
private final class Race: Sendable {
    let state = Monitor((reads: 0, failure: String?.none))

    func endRead() { state.withLock(waking: .all) { $0.reads += 1 } }
    func waitForReads(_ count: Int) { state.wait { $0.reads >= count ? () : nil } }
}

@Suite struct ChangingFileTests {
    let folder: TemporaryDirectory
    let path: String
    let original: [UInt8]
    /// A valid file of the same length and layout, and other weights.
    let other: [UInt8]

    init() throws {
        folder = try TemporaryDirectory()
        path = folder.path("model.thimble")
        try SampleModel.write(to: path)
        original = try [UInt8](Data(contentsOf: URL(filePath: path)))
        var forged = try ForgedFile(path)
        let blocks = try ModelFile(path: path).segments.flatMap(\.blocks)
        let raw = try #require(
            blocks.indices.last { blocks[$0].isStoredRaw && blocks[$0].rawByteCount > 1000 })
        let start = blocks[raw].fileOffset - Header.byteCount
        let range = start..<(start + blocks[raw].storedByteCount)
        for place in range { forged.payload[place] ^= 0xFF }
        forged.index[raw].checksum = ContainerFormat.checksum(forged.payload[range])
        other = forged.bytes
        try #require(other.count == original.count)
    }

    @Test func theOtherModelIsAModel() throws {
        try Data(other).write(to: URL(filePath: path))
        try ModelFile(path: path).verify()
    }

    @Test(arguments: Change.allCases) fileprivate func aFileChangedBetweenReadsIsToldAsChanged(
        _ change: Change
    ) throws {
        let file = try ModelFile(path: path)
        let before = try file.loadedChecksums()
        try change.apply(to: path, other: other)
        if change.leavesTheOpenFile || change == .grown {
            #expect(try file.loadedChecksums() == before)
        } else {
            let error = #expect(throws: ModelFileError.self) { try file.loadedChecksums() }
            #expect(error?.code == .changed)
        }
        #expect(try file.input.hasChanged() == !change.leavesTheOpenFile)
    }

    /// Loads on two threads, again and again, while a third changes the file at some moment of it.
    @Test(arguments: Change.allCases) fileprivate func aFileChangedWhileItIsReadGivesAnErrorOrTheModel(
        _ change: Change
    ) throws {
        let whole = try ModelFile(path: path).loadedChecksums()
        var (errors, loads) = (0, 0)
        for round in 0..<exampleCount(60) {
            try Data(original).write(to: URL(filePath: path))
            let file = try ModelFile(path: path)
            let race = Race()
            let (path, other) = (path, other)
            var changer = JoinedThreads()
            let isStarted = changer.start {
                // Another moment each round, by counted reads: no clock says when.
                race.waitForReads(round % 6)
                do { try change.apply(to: path, other: other) } catch {
                    race.state.withLock { $0.failure = "\(error)" }
                }
            }
            try #require(isStarted)
            for _ in 0..<6 {
                do throws(ModelFileError) {
                    let checksums = try file.loadedChecksums()
                    #expect(checksums == whole)
                    loads += 1
                } catch {
                    #expect([.changed, .damaged, .truncated].contains(error.code), "\(error)")
                    errors += 1
                }
                race.endRead()
            }
            changer.join()
            #expect(race.state.withLock { $0.failure } == nil)
        }
        #expect(loads > 0)
        #expect((errors == 0) == (change.leavesTheOpenFile || change == .grown))
    }

    /// Opening races with the change, too: what is opened is the old model, the new one, or an error.
    @Test(arguments: Change.allCases) fileprivate func aFileChangedWhileItIsOpenedGivesAnErrorOrAModel(
        _ change: Change
    ) throws {
        let whole = try ModelFile(path: path).loadedChecksums()
        try Data(other).write(to: URL(filePath: path))
        let wholeOther = try ModelFile(path: path).loadedChecksums()
        for round in 0..<exampleCount(60) {
            try Data(original).write(to: URL(filePath: path))
            let race = Race()
            let (path, other) = (path, other)
            var changer = JoinedThreads()
            let isStarted = changer.start {
                race.waitForReads(round % 4)
                try? change.apply(to: path, other: other)
            }
            try #require(isStarted)
            for _ in 0..<8 {
                do throws(ModelFileError) {
                    let checksums = try ModelFile(path: path).loadedChecksums()
                    #expect(checksums == whole || checksums == wholeOther)
                } catch { #expect(!error.detail.isEmpty) }
                race.endRead()
            }
            changer.join()
        }
    }
}
