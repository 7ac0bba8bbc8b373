//! Holds a session's file to its word: what was saved is read byte for byte or not at all, whatever has
//! become of the file.

import Foundation
import Glibc
import TestSupport
import Testing

@testable import SessionFiles

@Suite struct SessionFileTests {
    private let folder: TemporaryDirectory
    private let path: String
    private var sample = SavedSample()

    init() throws {
        folder = try TemporaryDirectory()
        path = folder.path("a.session")
    }

    private func contents() throws -> [UInt8] { Array(try Data(contentsOf: URL(filePath: path))) }

    @Test func whatIsSavedIsRead() throws {
        let byteCount = try sample.write(to: path)
        let reader = try SessionFileReader(path: path)
        #expect(try SavedSample(reader) == sample)
        #expect(try byteCount == reader.head.fileByteCount && byteCount == contents().count)
        #expect(reader.head.model == SavedSample.head.model && reader.head.form == 1)
        #expect(reader.head.savedAt == 1_700_000_000 && reader.head.placedImageCount == 1)
        #expect(reader.head.positionCount == 9 && reader.head.pageCount == 3)
        #expect(reader.size(of: 1) == (5, 4))
        #expect(folder.contents == ["a.session"])
    }

    @Test func aSessionOfNothingIsOne() throws {
        var nothing = SavedSample()
        (nothing.conversation.messages, nothing.pngs, nothing.places, nothing.inputs, nothing.pages) =
            ([], [], [], [], [])
        let head = SessionHead(
            form: 0, model: 0, savedAt: 0, pageTokens: 16, positionCount: 0, pageByteCount: 1)
        var writer = try SessionFileWriter(SessionClaim(path: path), head, nothing.conversation)
        try writer.appendInputs([])
        _ = try writer.commit()
        #expect(try SavedSample(SessionFileReader(path: path)) == nothing)
    }

    /// Of all files of the folder together, and whoever has written them.
    @Test func noMoreIsWrittenInADayThanIsAllowed() throws {
        let byteCount = try sample.write(to: folder.path("free.session"))
        let limit = 2 * byteCount + byteCount / 2
        try sample.write(to: path, writtenADay: limit)
        try sample.write(to: folder.path("b.session"), writtenADay: limit)
        let before = try contents()
        var other = sample
        other.conversation.messages.removeLast()
        for file in [path, folder.path("c.session")] {
            let error = #expect(throws: SessionFileError.self) {
                try other.write(to: file, writtenADay: limit)
            }
            #expect(error?.code == .writtenADay && error?.file == file)
            #expect(error?.description.contains("\(limit) bytes") == true)
        }
        // What was there stays, and nothing half-written is left.
        #expect(try contents() == before && SavedSample.fault(path) == nil)
        #expect(
            folder.contents.sorted() == [
                "a.session", "b.session", "free.session", WriteGovernor.fileName,
            ])
        try other.write(to: path, writtenADay: 4 * byteCount)
        #expect(try contents() != before)
    }

    @Test func aCountThatCannotBeKeptIsAnError() throws {
        try FileManager.default.createDirectory(
            atPath: folder.path(WriteGovernor.fileName), withIntermediateDirectories: false)
        let error = #expect(throws: SessionFileError.self) {
            try sample.write(to: path, writtenADay: 1 << 30)
        }
        #expect(error?.code == .cannotCreate)
        try sample.write(to: path)
    }

    @Test func theFileIsItsOwnersAlone() throws {
        let old = umask(0)
        defer { umask(old) }
        try sample.write(to: path)
        let mode = try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        #expect(mode == 0o600)
    }

    @Test func aShorterOrLongerFileIsDamaged() throws {
        try sample.write(to: path)
        let whole = try contents()
        for count in 0..<whole.count {
            try Data(whole[..<count]).write(to: URL(filePath: path))
            let code = SavedSample.fault(path)?.code
            #expect(code == .damaged || code == .notASession && count < 8, "\(count) bytes")
        }
        try Data(whole + [0]).write(to: URL(filePath: path))
        #expect(SavedSample.fault(path)?.code == .damaged)
    }

    @Test func everyBitThatChangesIsSeen() throws {
        try sample.write(to: path)
        let whole = try contents()
        for bit in stride(from: 0, to: whole.count * 8, by: max(1, 8 / caseCount(8))) {
            var bytes = whole
            bytes[bit / 8] ^= 1 << UInt8(bit % 8)
            try Data(bytes).write(to: URL(filePath: path))
            let error = SavedSample.fault(path)
            #expect(error != nil && error?.file == path, "bit \(bit)")
        }
    }

    /// Offsets in the head, and values that contradict the rest or pass a limit, all under good checksums.
    @Test(
        arguments: [
            (12, 0xFFFF_FFFF, true), (40, 0, false), (40, 257, false), (44, 3, false), (44, 5, false),
            (44, 65_537, false), (48, 1, false), (48, 3, false), (48, 4097, false), (52, 2, false),
            (52, 3, false),
            (56, 11, false), (56, 0xFFFF_FFFF, false), (60, 8, false), (60, 13, false),
            (60, 0xFFFF_FFFF, false),
            (8, 2, false),
        ] as [(Int, UInt32, Bool)])
    func aHeadThatContradictsTheRestIsRefused(offset: Int, value: UInt32, isFine: Bool) throws {
        try sample.write(to: path)
        var forged = ForgedSession(bytes: try contents())
        forged.set(value, at: offset)
        forged.seal()
        try Data(forged.bytes).write(to: URL(filePath: path))
        // Eight positions need fewer pages, and so a shorter file.
        #expect((SavedSample.fault(path) == nil) == isFine)
    }

    @Test(arguments: [64, 72, 80])
    func sizesThatCannotBeAreRefused(offset: Int) throws {
        try sample.write(to: path)
        let whole = try contents()
        for value in [0, 1, 1 << 30 + 1, 1 << 41, 1 << 62, .max] as [UInt64] {
            var forged = ForgedSession(bytes: whole)
            forged.set(value, at: offset)
            forged.seal()
            try Data(forged.bytes).write(to: URL(filePath: path))
            let code = SavedSample.fault(path)?.code
            #expect(code == .damaged || code == .limit, "\(value) at \(offset)")
        }
    }

    /// Of the first image: its bytes, width, height, place.
    @Test(
        arguments: [
            (0, 41), (0, 39), (7, 0x80), (16, 0x1000_0000), (20, 0x4000_0000), (24, 7), (24, 0xFFFF_FFFF),
            (28, 0),
            (28, 0xFFFF_FFFF), (32, 0), (32, 0x7FFF_FFFF),
        ] as [(Int, UInt32)])
    func anIndexThatContradictsTheRestIsRefused(offset: Int, value: UInt32) throws {
        try sample.write(to: path)
        var forged = ForgedSession(bytes: try contents())
        let index = try SessionFileReader(path: path).head.indexOffset
        if offset == 7 {
            forged.bytes[index + 7] = UInt8(value)
        } else {
            forged.set(value, at: index + offset)
        }
        forged.seal(indexOffset: index)
        try Data(forged.bytes).write(to: URL(filePath: path))
        let code = SavedSample.fault(path)?.code
        #expect(code == .damaged || code == .limit)
    }

    @Test func anyConversationIsReadAsItWasWrittenAndNoOther() {
        var random = SeededGenerator(seed: 8)
        for _ in 0..<caseCount(300) {
            let texts = [
                "", "a", "\r\n", "é漢\u{1F600}", "\u{0}\u{1B}[2J", String(repeating: "x", count: 300),
            ]
            let conversation = SavedConversation(
                modelName: random.element(of: texts),
                messages: (0..<random.integer(below: 5)).map { _ in
                    SavedConversation.Message(
                        random.element(of: [.system, .user, .assistant]),
                        (0..<random.integer(below: 4)).map { _ in
                            random.integer(below: 3) == 0 ? .image : .text(random.element(of: texts))
                        })
                })
            let (bytes, count) = (conversation.encoded, conversation.messages.count)
            #expect(SavedConversation(bytes, messageCount: count) == conversation)
            #expect(SavedConversation(bytes, messageCount: count + 1) == nil)
            #expect(SavedConversation(bytes + [0], messageCount: count) == nil)
            #expect(SavedConversation(Array(bytes.dropLast()), messageCount: count) == nil)
        }
    }

    @Test func aConversationThatMeansHarmIsRefused() {
        func isRefused(_ bytes: [UInt8], _ count: Int = 1) -> Bool {
            SavedConversation(bytes, messageCount: count) == nil
        }
        let name: [UInt8] = [0, 0, 0, 0]
        #expect(!isRefused(name + [1, 1, 0, 0, 0, 1]))
        // Another role or kind, more items than there are or may be, a text that ends early or is none.
        #expect(isRefused(name + [3, 0, 0, 0, 0]) && isRefused(name + [1, 1, 0, 0, 0, 2]))
        #expect(isRefused(name + [1, 2, 0, 0, 0, 1]) && isRefused(name + [1, 255, 255, 255, 255, 1]))
        #expect(isRefused(name + [1, 1, 0, 0, 0, 0, 9, 0, 0, 0, 65]))
        #expect(isRefused(name + [1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0xFF]))
        #expect(isRefused([5, 0, 0, 0, 65], 0) && isRefused([0xFF, 0xFF, 0xFF, 0xFF], 0))
        let many = [UInt8](repeating: 1, count: SessionLimits.maximumItemCount + 1)
        let count = UInt32(many.count)
        #expect(isRefused(name + [1] + (0..<4).map { UInt8(truncatingIfNeeded: count >> (8 * $0)) } + many))
    }

    @Test func moreThanIsReadIsNotWritten() throws {
        try sample.write(to: path)
        let before = try contents()
        func code(_ change: (inout SavedSample) -> Void, limit: Int? = nil) -> SessionFileError.Code? {
            var other = sample
            change(&other)
            return #expect(throws: SessionFileError.self) { try other.write(to: path, byteLimit: limit) }?
                .code
        }
        let text = String(repeating: "x", count: SessionLimits.maximumConversationByteCount)
        #expect(code { $0.conversation.messages[0].items = [.text(text)] } == .outOfSpace)
        #expect(
            code {
                $0.conversation.messages = Array(
                    repeating: .init(.user, []), count: SessionLimits.maximumMessageCount + 1)
            } == .outOfSpace)
        #expect(code({ _ in }, limit: before.count - 1) == .outOfSpace)
        #expect(try contents() == before && folder.contents == ["a.session"])
        try sample.write(to: path, byteLimit: before.count)
    }

    @Test func whatIsNoSessionIsTold() throws {
        #expect(SavedSample.fault(folder.path("none"))?.code == .missing)
        #expect(SavedSample.fault(folder.url.path)?.code == .notASession)
        #expect(SavedSample.fault("/dev/zero")?.code == .notASession)
        try folder.write("a text".utf8, to: "a.session")
        #expect(SavedSample.fault(path)?.description.contains(path) == true)
        #expect(SavedSample.fault(path)?.code == .notASession)
    }

    @Test func aFileThatChangesWhileItIsOpenIsTold() throws {
        try sample.write(to: path)
        let reader = try SessionFileReader(path: path)
        var bytes = try contents()
        bytes[reader.head.indexOffset - 1] ^= 1
        let file = try FileHandle(forWritingTo: URL(filePath: path))
        try file.write(contentsOf: bytes)
        try file.close()
        #expect(throws: SessionFileError.self) { try SavedSample(reader) }
    }

    @Test func aCopyIsCheckedAndTheSame() throws {
        try sample.write(to: path)
        let copy = folder.path("copy")
        try SessionFileReader(path: path).copy(to: SessionClaim(path: copy))
        #expect(try Data(contentsOf: URL(filePath: copy)) == Data(contents()))
        var bytes = try contents()
        bytes[try SessionFileReader(path: path).head.pagesOffset + 30] ^= 4
        try Data(bytes).write(to: URL(filePath: path))
        #expect(throws: SessionFileError.self) {
            try SessionFileReader(path: path).copy(to: SessionClaim(path: copy))
        }
        #expect(SavedSample.fault(copy) == nil && folder.contents.count == 2)
    }
}
