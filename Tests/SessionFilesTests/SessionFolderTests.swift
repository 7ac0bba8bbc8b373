//! Holds a folder of sessions: whose it is, who may write, what goes when, and what processes leave that end.

import Foundation
import Glibc
import TestSupport
import Testing

@testable import SessionFiles

@Suite struct SessionFolderTests {
    private let parent: TemporaryDirectory
    private let folder: SessionFolder

    init() throws {
        parent = try TemporaryDirectory()
        folder = SessionFolder(parent.path("state/thimble/sessions"))
    }

    /// Saves a session that was last used as many seconds after 1970.
    private func save(_ name: String, lastUse: Int) throws {
        try folder.make()
        let path = try folder.file(of: name)
        try SavedSample().write(to: path)
        try FileManager.default.setAttributes(
            [.modificationDate: Date(timeIntervalSince1970: Double(lastUse))], ofItemAtPath: path)
    }

    private var names: [String] {
        get throws { try folder.list().map(\.name) }
    }

    private func mode(_ path: String) throws -> Int? {
        try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
    }

    @Test func theFolderIsItsOwnersAlone() throws {
        #expect(try names == [])
        try folder.make()
        try folder.make()
        #expect(try mode(folder.path) == 0o700 && mode(parent.path("state")) == 0o700)
    }

    @Test func aFolderThatOthersMayWriteToIsRefused() throws {
        try folder.make()
        for mode in [0o770, 0o707] {
            _ = unsafe chmod(folder.path, mode_t(mode))
            #expect(throws: SessionFileError.self) { try folder.make() }
        }
        let link = parent.path("link")
        try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: parent.url.path)
        #expect(throws: SessionFileError.self) { try SessionFolder(link).make() }
        try parent.write([1], to: "file")
        #expect(throws: SessionFileError.self) { try SessionFolder(parent.path("file")).make() }
        #expect(throws: SessionFileError.self) { try SessionFolder(parent.path("file/below")).make() }
    }

    @Test(arguments: [
        ("a", true), ("report-2.final_x", true), ("A9", true), (String(repeating: "x", count: 64), true),
        (String(repeating: "x", count: 65), false), ("", false), (".", false), ("..", false), ("../a", false),
        ("a/b", false), (".hidden", false), ("-rf", false), ("a.", false), ("a b", false), ("é", false),
        ("a\n", false), ("a\u{0}b", false), ("@", false), ("[", false),
    ])
    func onlyPlainNamesAreNames(name: String, isName: Bool) {
        #expect(SessionFolder.isName(name) == isName)
        #expect(((try? folder.file(of: name)) != nil) == isName)
    }

    @Test func sessionsAreListedByTheirUse() throws {
        for (name, time) in [("b", 20), ("a", 30), ("c", 10), ("d", 20)] { try save(name, lastUse: time) }
        try parent.write([1], to: "state/thimble/sessions/other.txt")
        try FileManager.default.createDirectory(
            atPath: folder.path + "/folder.session", withIntermediateDirectories: false)
        #expect(try names == ["a", "b", "d", "c"])
        try SessionFolder.touch(folder.file(of: "c"))
        #expect(try names.first == "c")
    }

    @Test func whatWasNotUsedForLongGoes() throws {
        for (name, time) in [("old", 100), ("edge", 150), ("new", 190), ("later", 900)] {
            try save(name, lastUse: time)
        }
        #expect(try folder.prune(unusedFor: 50, keeping: "new", now: 200) == ["old"])
        #expect(try folder.prune(unusedFor: 0, keeping: "new", now: 200) == ["edge"])
        // A clock that was set back makes nothing old.
        #expect(try names == ["later", "new"])
        #expect(try folder.prune(now: 1000) == [])
    }

    @Test func thoseUsedLastStayWithinTheLimit() throws {
        for (name, time) in [("a", 1), ("b", 2), ("c", 3), ("d", 4)] { try save(name, lastUse: time) }
        let one = try #require(try folder.list().first?.byteCount)
        #expect(try folder.prune(byteLimit: 4 * one) == [])
        #expect(try folder.prune(byteLimit: 3 * one, keeping: "a") == ["b"])
        #expect(try folder.prune(byteLimit: 2 * one - 1, keeping: "a") == ["c", "d"])
        #expect(try folder.prune(byteLimit: 0, keeping: "a") == [] && names == ["a"])
    }

    @Test func aSessionIsWrittenByOneAtATime() throws {
        try save("a", lastUse: 1)
        let path = try folder.file(of: "a")
        do {
            let claim = try SessionClaim(path: path)
            let error = #expect(throws: SessionFileError.self) { _ = try SessionClaim(path: path) }
            #expect(error?.code == .inUse && error?.description.contains("another process") == true)
            #expect(throws: SessionFileError.self) { try SavedSample().write(to: path) }
            #expect(throws: SessionFileError.self) { try folder.remove("a") }
            #expect(try folder.prune(byteLimit: 0) == [] && names == ["a"])
            _ = claim.path
        }
        try SavedSample().write(to: path)
        try folder.remove("a")
        #expect(throws: SessionFileError.self) { try folder.remove("a") }
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path).isEmpty)
    }

    @Test func whatAStoppedProcessHasLeftGoes() throws {
        try save("a", lastUse: 1)
        for name in ["a", "gone"] {
            let path = try folder.file(of: name) + ".partial"
            try Data([1, 2, 3]).write(to: URL(filePath: path))
            _ = unsafe chmod(path, 0o600)
        }
        try SavedSample().write(to: folder.file(of: "a"))
        #expect(SavedSample.fault(try folder.file(of: "a")) == nil)
        #expect(try names == ["a"])
        #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path) == ["a.session"])
    }

    @Test func nothingOfOthersIsWrittenTo() throws {
        try folder.make()
        let path = try folder.file(of: "a")
        // A link and a file with a second name in the place of what is written.
        let victim = try parent.write([7], to: "victim")
        _ = unsafe chmod(victim, 0o600)
        try FileManager.default.createSymbolicLink(atPath: path + ".partial", withDestinationPath: victim)
        #expect(throws: SessionFileError.self) { try SavedSample().write(to: path) }
        try FileManager.default.removeItem(atPath: path + ".partial")
        try FileManager.default.linkItem(atPath: victim, toPath: path + ".partial")
        #expect(throws: SessionFileError.self) { try SavedSample().write(to: path) }
        #expect(try Data(contentsOf: URL(filePath: victim)) == Data([7]))
        // No link, folder or device in the place of the session.
        try FileManager.default.removeItem(atPath: path + ".partial")
        try FileManager.default.createSymbolicLink(atPath: path, withDestinationPath: victim)
        #expect(throws: SessionFileError.self) { try SavedSample().write(to: path) }
        #expect(throws: SessionFileError.self) { try SavedSample().write(to: parent.url.path) }
        #expect(throws: SessionFileError.self) { try SavedSample().write(to: "/dev/null") }
    }
}

/// Looking through a folder never stands in the way of one who saves.
@Test func sessionsAreSavedWhileOthersLookThroughTheFolder() throws {
    let directory = try TemporaryDirectory()
    let folder = SessionFolder(directory.url.path)
    let path = try folder.file(of: "a")
    try SavedSample().write(to: path)
    let thread = Thread { while !Thread.current.isCancelled { _ = try? folder.list() } }
    thread.start()
    defer { thread.cancel() }
    for _ in 0..<caseCount(100) {
        try SavedSample().write(to: path)
        #expect(SavedSample.fault(path) == nil)
    }
}
