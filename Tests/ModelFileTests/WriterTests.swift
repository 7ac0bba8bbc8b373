//! A file appears whole or not at all.

import Foundation
import TestSupport
import Testing

@testable import ModelFile

@Suite struct WriterTests {
    @Test func anAbandonedWriterLeavesNothing() throws {
        let folder = try TemporaryDirectory()
        do {
            var writer = try ModelFileWriter(path: folder.path("m.thimble"))
            try writer.appendData("tokenizer", [1, 2, 3])
            #expect(folder.contents.count == 1)
        }
        #expect(folder.contents.isEmpty)
    }

    @Test func anOldFileStaysUntilTheNewOneIsWhole() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("m.thimble")
        try Data("old".utf8).write(to: URL(fileURLWithPath: path))
        var writer = try ModelFileWriter(path: path)
        try SampleModel.appendSegments(to: &writer)
        #expect(try Data(contentsOf: URL(fileURLWithPath: path)) == Data("old".utf8))
        try writer.commit(SampleModel.description)
        #expect(folder.contents == ["m.thimble"])
        try ModelFile(path: path).verify()
    }

    @Test(arguments: [200, 5000, 100_000]) func aFullDiskIsAClearErrorAndLeavesNothing(space: Int) throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("m.thimble")
        let error = #expect(throws: ModelFileError.self) {
            let output = try unsafe OutputFile(path: path) { descriptor, bytes, offset in
                guard offset < space else {
                    errno = ENOSPC
                    return -1
                }
                // A disk that fills takes what fits first.
                return unsafe pwrite(
                    descriptor, bytes.baseAddress, min(bytes.count, space - offset), off_t(offset))
            }
            var writer = try ModelFileWriter(output: output)
            try SampleModel.appendSegments(to: &writer)
            try writer.commit(SampleModel.description)
        }
        #expect(error?.code == .outOfSpace)
        #expect(error?.file == path)
        #expect(error?.offset == space)
        #expect(folder.contents.isEmpty)
    }

    @Test func shortAndInterruptedWritesAreContinued() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("m.thimble")
        var calls = 0
        let output = try unsafe OutputFile(path: path) { descriptor, bytes, offset in
            calls += 1
            if calls % 3 == 0 {
                errno = EINTR
                return -1
            }
            return unsafe pwrite(descriptor, bytes.baseAddress, min(bytes.count, 10_000), off_t(offset))
        }
        var writer = try ModelFileWriter(output: output)
        try SampleModel.appendSegments(to: &writer)
        try writer.commit(SampleModel.description)
        try ModelFile(path: path).verify()
    }

    /// A rename over a device would put a file in its place.
    @Test func aTargetThatIsNoRegularFileIsRefused() throws {
        let folder = try TemporaryDirectory()
        for path in [folder.url.path, "/dev/null"] {
            let error = #expect(throws: ModelFileError.self) { _ = try ModelFileWriter(path: path) }
            #expect(error?.description.contains("not a regular file") == true)
        }
        #expect(folder.contents.isEmpty)
    }

    @Test func aFolderThatIsNotThereIsAClearError() throws {
        let error = #expect(throws: ModelFileError.self) {
            _ = try ModelFileWriter(path: "/nonexistent/folder/m.thimble")
        }
        #expect(error?.code == .cannotCreate)
        #expect(error?.description.contains("No such file or directory") == true)
    }
}
