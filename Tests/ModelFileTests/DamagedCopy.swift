//! A copy of a model file that tests damage in place, and mend again.

import Foundation
import TestSupport
import Testing

@testable import ModelFile

/// A model file in a folder of its own, open for writing.
final class DamagedCopy {
    let path: String
    /// The file as it was.
    let original: [UInt8]
    private let folder: TemporaryDirectory
    private let descriptor: Int32

    init(of bytes: [UInt8]) throws {
        folder = try TemporaryDirectory()
        path = try folder.write(bytes, to: "model.thimble")
        original = bytes
        descriptor = unsafe open(path, O_RDWR | O_CLOEXEC)
        try #require(descriptor >= 0)
    }

    deinit { close(descriptor) }

    /// The model that the repository brings.
    static func ofReader() throws -> DamagedCopy {
        let root = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
            .deletingLastPathComponent()
        return try DamagedCopy(of: Array(Data(contentsOf: root.appending(path: "Models/reader.thimble"))))
    }

    /// The container's own sample.
    static func ofSample() throws -> DamagedCopy {
        let folder = try TemporaryDirectory()
        try SampleModel.write(to: folder.path("sample.thimble"))
        return try DamagedCopy(of: Array(Data(contentsOf: folder.url.appending(path: "sample.thimble"))))
    }

    func put(_ bytes: [UInt8], at offset: Int) throws {
        let written = unsafe bytes.withUnsafeBytes {
            unsafe pwrite(descriptor, $0.baseAddress, $0.count, off_t(offset))
        }
        try #require(written == bytes.count)
    }

    /// Turns bit `bit % 8` of byte `bit / 8` over, runs `body`, and turns the bit back.
    func withFlipped<Result>(bit: Int, _ body: () throws -> Result) throws -> Result {
        let byte = original[bit / 8]
        try put([byte ^ (1 << UInt8(bit % 8))], at: bit / 8)
        let result = try body()
        try put([byte], at: bit / 8)
        return result
    }

    func truncate(to byteCount: Int) throws {
        try #require(ftruncate(descriptor, off_t(byteCount)) == 0)
    }
}

extension ModelFile {
    /// The raw image of a segment, by a reader of this file.
    func image(of segment: Segment, _ reader: SegmentReader) throws(ModelFileError) -> [UInt8] {
        var image = [UInt8](repeating: 0, count: segment.entry.imageByteCount)
        var fault: ModelFileError?
        unsafe image.withUnsafeMutableBytes { buffer in
            do throws(ModelFileError) {
                unsafe try reader.read(segment, into: buffer)
            } catch { fault = error }
        }
        if let fault { throw fault }
        return image
    }

    /// The checksum of every segment's raw image: what a whole load gives.
    func loadedChecksums(threadCount: Int = 2) throws(ModelFileError) -> [UInt64] {
        let reader = try SegmentReader(of: self, threadCount: threadCount)
        var checksums: [UInt64] = []
        for segment in segments {
            checksums.append(ContainerFormat.checksum(try image(of: segment, reader)[...]))
        }
        return checksums
    }
}
