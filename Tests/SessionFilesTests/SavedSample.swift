//! A saved session that is made by hand, and what tests do with its file.

import Foundation
import TestSupport

@testable import SessionFiles

/// What a session's file holds, as a test makes it.
struct SavedSample: Equatable {
    var conversation = SavedConversation(
        modelName: "tiny",
        messages: [
            .init(.system, [.text("Be brief.")]),
            .init(.user, [.image, .text("What is it? \u{1F600}"), .image]),
            .init(.assistant, []), .init(.user, [.text("")]),
        ])
    var pngs: [[UInt8]] = [Array(repeating: 3, count: 40), [1, 2]]
    /// The first of the two stands among the inputs.
    var places: [ImagePlace?] = [ImagePlace(start: 2, rows: 2, columns: 3), nil]
    var inputs: [Int32] = [5, 6, 9, 9, 9, 9, 9, 9, 7, 8, -1, .max]
    var pages: [[UInt8]] = (0..<3 as Range<UInt8>).map { page in
        (0..<24 as Range<UInt8>).map { $0 &* 7 &+ page }
    }

    static let head = SessionHead(
        form: 1, model: 0x0123_4567_89AB_CDEF_0011_2233_4455_6677, savedAt: 1_700_000_000, pageTokens: 4,
        positionCount: 9, pageByteCount: 24)

    /// Writes it; returns the file's bytes as counted.
    @discardableResult
    func write(to path: String, byteLimit: Int? = nil, writtenADay: Int? = nil) throws -> Int {
        var writer = try SessionFileWriter(
            SessionClaim(path: path), Self.head, conversation, byteLimit: byteLimit,
            writtenADay: writtenADay)
        for (png, place) in zip(pngs, places) {
            try writer.appendImage(png: png, width: 5, height: 4, place: place)
        }
        try writer.appendInputs(inputs)
        for page in pages {
            try unsafe page.withUnsafeBytes { unsafe try writer.appendPage($0) }
        }
        return try writer.commit()
    }

    init() {}

    /// Reads all of a file.
    init(_ reader: SessionFileReader) throws {
        conversation = try reader.conversation()
        pngs = try (0..<reader.head.imageCount).map { try reader.png($0) }
        places = (0..<reader.head.imageCount).map { reader.place(of: $0) }
        inputs = try reader.inputs()
        pages = try (0..<reader.head.pageCount).map { index in
            var page = [UInt8](repeating: 0, count: reader.head.pageByteCount)
            try unsafe page.withUnsafeMutableBytes { unsafe try reader.readPage(index, into: $0) }
            return page
        }
        try reader.checkUnchanged()
    }

    /// Why the file at `path` cannot be read whole; nil where it can.
    static func fault(_ path: String) -> SessionFileError? {
        do throws(SessionFileError) {
            try SessionFileReader(path: path).verify()
            return nil
        } catch { return error }
    }
}

/// A file whose checksums match whatever it says.
struct ForgedSession {
    var bytes: [UInt8]

    /// Writes a number into the head.
    mutating func set<T: FixedWidthInteger>(_ value: T, at offset: Int) {
        for index in 0..<T.bitWidth / 8 {
            bytes[offset + index] = UInt8(truncatingIfNeeded: value >> T(8 * index))
        }
    }

    /// Makes the index and the head match their checksums; the index is what is behind `indexOffset`.
    mutating func seal(indexOffset: Int? = nil) {
        if let indexOffset { set(checksum(bytes[indexOffset...]), at: 104) }
        set(checksum(bytes[..<112]), at: 112)
    }
}
