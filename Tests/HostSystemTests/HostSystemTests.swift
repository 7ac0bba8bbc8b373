//! What the system is asked: files, folders, the kernel's texts, variables, the time.

import Foundation
import TestSupport
import Testing

@testable import HostSystem

@Test func whatIsThereIsToldFromWhatIsNot() throws {
    let folder = try TemporaryDirectory()
    let file = try folder.write([1], to: "file")
    #expect(FileSystem.exists(file) && !FileSystem.isFolder(file))
    #expect(FileSystem.exists(folder.url.path) && FileSystem.isFolder(folder.url.path))
    #expect(!FileSystem.exists(folder.path("none")) && !FileSystem.isFolder(folder.path("none")))
    let link = folder.path("link")
    try FileManager.default.createSymbolicLink(atPath: link, withDestinationPath: "nowhere")
    #expect(!FileSystem.exists(link))
    #expect(FileSystem.destination(ofLink: link) == "nowhere")
    #expect(FileSystem.destination(ofLink: file) == nil)
    #expect(FileSystem.program.map(FileSystem.exists) == true)
}

@Test func foldersAreMadeListedAndRemovedWhole() throws {
    let folder = try TemporaryDirectory()
    let deep = folder.path("a/b/c")
    #expect(FileSystem.makeFolder(deep + "/"))
    #expect(FileSystem.makeFolder(deep), "it is there by now")
    #expect(FileSystem.isFolder(deep))
    for name in ["one", "two", ".three"] { try Data([1]).write(to: URL(filePath: "\(deep)/\(name)")) }
    #expect(FileSystem.names(in: deep)?.sorted() == [".three", "one", "two"])
    #expect(FileSystem.names(in: folder.path("none")) == nil)
    #expect(FileSystem.names(in: "\(deep)/one") == nil)
    #expect(!FileSystem.makeFolder("\(deep)/one/x"), "a file stands in the way")
    #expect(!FileSystem.makeFolder("\(deep)/one"))
    // What a link leads to stays.
    let kept = try folder.write([1], to: "kept")
    try FileManager.default.createSymbolicLink(atPath: "\(deep)/link", withDestinationPath: folder.url.path)
    FileSystem.remove(folder.path("a"))
    #expect(!FileSystem.exists(folder.path("a")))
    #expect(FileSystem.exists(kept))
    FileSystem.remove(folder.path("none"))
}

@Test func aPathIsMadeAbsolute() {
    #expect(FileSystem.absolute("/a/./b//c/../d/") == "/a/b/d")
    #expect(FileSystem.absolute("/../a") == "/a")
    #expect(FileSystem.absolute("/") == "/")
    let here = FileManager.default.currentDirectoryPath
    #expect(FileSystem.absolute("x/../y") == "\(here)/y")
}

@Test func theKernelsTextsAreReadWhole() throws {
    #expect(SystemText.contents(of: "/proc/self/status")?.contains("VmRSS:") == true)
    let folder = try TemporaryDirectory()
    for count in [0, 1, 4095, 4096, 4097, 100_000] {
        let path = try folder.write([UInt8](repeating: 0x61, count: count), to: "text")
        #expect(SystemText.contents(of: path) == String(repeating: "a", count: count))
    }
    #expect(SystemText.contents(of: try folder.write([0xFF], to: "text")) == nil)
    #expect(SystemText.contents(of: folder.path("none")) == nil)
    #expect(SystemText.contents(of: folder.url.path) == nil)
    let pipe = folder.path("pipe")
    #expect(unsafe mkfifo(pipe, 0o600) == 0)
    #expect(SystemText.contents(of: pipe) == "", "nobody writes")
}

@Test func theEnvironmentIsWhatTheProcessWasGiven() {
    #expect(ProcessEnvironment.variables == ProcessInfo.processInfo.environment)
    #expect(ProcessEnvironment.variables["PATH"] != nil)
}

@Test func momentsAreWrittenAsISO8601Has() {
    for seconds in [0, 951_782_399, 1_709_164_800, 4_102_444_799, CalendarTime.now] {
        #expect(
            CalendarTime.iso8601(seconds)
                == Date(timeIntervalSince1970: Double(seconds)).ISO8601Format())
    }
    #expect(CalendarTime.iso8601(1_709_164_801) == "2024-02-29T00:00:01Z")
}
