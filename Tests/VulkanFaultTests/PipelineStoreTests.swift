//! Compiled shaders between runs: what is damaged, or cannot be kept, costs time and nothing else.

import Foundation
import TestSupport
import Testing

@testable import Thimble

private let device = "0123abcd"

@Test func whatWasKeptIsRead() throws {
    let folder = try TemporaryDirectory()
    // Folders are made as needed.
    let store = PipelineStore(environment: ["XDG_CACHE_HOME": folder.path("a/b")])
    #expect(store.read(for: device).isEmpty)
    store.write([1, 2, 3], for: device)
    #expect(store.read(for: device) == [1, 2, 3])
    #expect(store.read(for: "another").isEmpty)
    store.write([4], for: device)
    #expect(store.read(for: device) == [4])
    // Nothing temporary is left.
    #expect(try FileManager.default.contentsOfDirectory(atPath: folder.path("a/b/thimble")).count == 1)
}

@Test func theFolderFollowsTheEnvironment() {
    func folder(_ environment: [String: String]) -> String? {
        PipelineStore(environment: environment).folder
    }
    #expect(folder(["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/thimble")
    #expect(folder(["XDG_CACHE_HOME": "relative", "HOME": "/h"]) == "/h/.cache/thimble")
    #expect(folder(["XDG_CACHE_HOME": "", "HOME": "/h"]) == "/h/.cache/thimble")
    #expect(folder(["HOME": ""]) == nil)
    #expect(folder([:]) == nil)
}

@Test func withoutAHomeNothingIsKept() {
    let store = PipelineStore(environment: [:])
    store.write([1], for: device)
    #expect(store.read(for: device).isEmpty)
}

@Test func aFolderThatCannotBeWrittenIsNoFault() throws {
    let folder = try TemporaryDirectory()
    // A file where the folder should be stops every user, root included.
    try folder.write([0], to: "thimble")
    let store = PipelineStore(environment: ["XDG_CACHE_HOME": folder.url.path])
    store.write([1], for: device)
    #expect(store.read(for: device).isEmpty)
    #expect(folder.contents == ["thimble"])
}

@Test func aFileThatIsTooLargeIsNotRead() throws {
    let folder = try TemporaryDirectory()
    let store = PipelineStore(folder: folder.url.path)
    let path = try #require(store.file(for: device))
    #expect(FileManager.default.createFile(atPath: path, contents: nil))
    let file = try FileHandle(forWritingTo: URL(filePath: path))
    // Sparse: it takes no room.
    try file.truncate(atOffset: UInt64(PipelineStore.maximumByteCount + 1))
    try file.close()
    #expect(store.read(for: device).isEmpty)
}

@Test func aFolderInTheFilesPlaceIsNotRead() throws {
    let folder = try TemporaryDirectory()
    let store = PipelineStore(folder: folder.url.path)
    let path = try #require(store.file(for: device))
    try FileManager.default.createDirectory(atPath: path, withIntermediateDirectories: false)
    #expect(store.read(for: device).isEmpty)
    store.write([1], for: device)
    #expect(store.read(for: device).isEmpty)
}

@Test func runsAtOnceLeaveOneOfTheirFiles() async throws {
    let folder = try TemporaryDirectory()
    let store = PipelineStore(folder: folder.url.path)
    let contents = (0..<4).map { [UInt8](repeating: UInt8($0), count: 1 << 20) }
    store.write(contents[0], for: device)
    await withTaskGroup(of: Bool.self) { group in
        for content in contents {
            group.addTask {
                for _ in 0..<20 { store.write(content, for: device) }
                return true
            }
            group.addTask { (0..<40).allSatisfy { _ in contents.contains(store.read(for: device)) } }
        }
        for await isWhole in group { #expect(isWhole) }
    }
    #expect(folder.contents.count == 1)
}
