//! A file appears whole or not at all.

import Foundation
import Tensors
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
            var writer = try ModelFileWriter(
                output: output, pool: WorkerPool(threadCount: 1, for: path))
            try SampleModel.appendSegments(to: &writer)
            try writer.commit(SampleModel.description)
        }
        #expect(error?.code == .outOfSpace)
        #expect(error?.file == path)
        #expect(error?.offset == space)
        #expect(folder.contents.isEmpty)
    }

    /// A matrix that begins within a block, begun anew after several blocks, leaves the file that it would
    /// have made at once.
    @Test func aRestartedMatrixLeavesNoTrace() throws {
        let folder = try TemporaryDirectory()
        let half = [UInt8](
            repeating: 0x5A, count: WeightLayout(rows: 300, columns: 4096, format: .f16).codesByteCount)
        let full = SampleModel.bytes(
            WeightLayout(rows: 300, columns: 4096, format: .f32).codesByteCount, seed: 4, mask: 0xFF)
        for restarts in [0, 2] {
            var writer = try ModelFileWriter(path: folder.path("\(restarts)"), threadCount: 2)
            try writer.beginSegment("layers.0")
            try writer.appendVector("first", [Float](repeating: 0.5, count: 100_000))
            try writer.beginMatrix("wide", rows: 300, columns: 4096, format: restarts > 0 ? .f16 : .f32)
            for restart in 0..<restarts {
                let part = half.prefix(restart == 0 ? 1_000_000 : 10)
                try unsafe part.withUnsafeBytes { try unsafe writer.appendCodes($0) }
                try writer.restartMatrix(format: restart + 1 < restarts ? .f16 : .f32)
            }
            try unsafe full.withUnsafeBytes { try unsafe writer.appendCodes($0) }
            try writer.endTensor()
            try writer.endSegment()
            try writer.commit(SampleModel.description)
        }
        let files = try ["0", "2"].map { try Data(contentsOf: URL(fileURLWithPath: folder.path($0))) }
        #expect(files[0] == files[1])
        try ModelFile(path: folder.path("2")).verify()
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
        var writer = try ModelFileWriter(output: output, pool: WorkerPool(threadCount: 1, for: path))
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
