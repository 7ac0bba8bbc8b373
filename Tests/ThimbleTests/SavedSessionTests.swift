//! Holds sessions that are saved and restored, and those that are forked, to what they would have said had
//! nothing happened.

import Foundation
import SessionFiles
import TestSupport
import Testing

@testable import Models
@testable import Thimble

/// Ways to draw an answer of 200 tokens: the likeliest, and by a seed.
private func ways() -> [GenerationOptions] {
    var seeded = options(200)
    seeded.sampling.temperature = 0.9
    seeded.sampling.topP = 0.95
    seeded.sampling.seed = 11
    return [options(200), seeded]
}

private func answer(_ session: Session, _ options: GenerationOptions) throws -> GenerationResult {
    try session.generate(options) { _ in }
}

/// A session that has answered a question about two images.
private func begin(_ engine: Engine) throws -> Session {
    let session = engine.makeSession()
    session.append(Message(.system, "Be brief."))
    session.append(
        Message(
            .user, [.image(picture(1)), .text("What is it?\r\n\u{1F600}"), .image(picture(2, width: 84))]))
    try answer(session, 20)
    session.append(Message(.user, "And then?"))
    try answer(session, 9)
    return session
}

/// Saves a session and restores it in another engine.
private func moved(_ session: Session, to engine: Engine) throws -> Session {
    let folder = try TemporaryDirectory()
    let byteCount = try session.save(to: folder.path("s"))
    let attributes = try FileManager.default.attributesOfItem(atPath: folder.path("s"))
    #expect(attributes[.size] as? Int == byteCount && attributes[.posixPermissions] as? Int == 0o600)
    #expect(folder.contents == ["s"])
    return try engine.restoreSession(from: folder.path("s"))
}

@Test(arguments: KVType.allCases)
func aRestoredSessionGoesOnAsIfNothingHadHappened(type: KVType) throws {
    let reader = try RandomReader(contextLength: 1024)
    for way in ways() {
        let session = try begin(reader.load { $0.kvType = type })
        let restored = try moved(session, to: reader.load { $0.kvType = type })
        #expect(restored.messages.count == session.messages.count)
        #expect(restored.sequence.length == session.sequence.length)
        for other in [session, restored] { other.append(Message(.user, "Go on")) }
        let (expected, found) = (try answer(session, way), try answer(restored, way))
        #expect(found.text == expected.text && found.generatedTokens == 200)
        #expect(found.cachedTokens == expected.cachedTokens && found.cachedTokens > 40)
        #expect(found.imagesEncoded == 0 && found.promptTokens == expected.promptTokens)
        #expect(restored.inputs.tokens == session.inputs.tokens)
    }
}

@Test(arguments: [KVType.f16, .int8])
func theBundledModelGoesOnAboutAPage(type: KVType) throws {
    func load() throws -> Engine {
        var options = EngineOptions()
        options.device = .cpu
        options.threadCount = 2
        options.contextLength = 2048
        options.kvType = type
        return try Engine(
            modelPath: Fixtures.packageRoot.appending(path: "Models/reader.thimble").path, options: options)
    }
    let made = NeedlePages(seed: 104, pageCount: 1, needleCount: 5)
    let folder = try TemporaryDirectory()
    let engine = try load()
    let page = try PagedDocument(
        path: folder.write(made.pages[0].utf8, to: "page.txt"), settings: engine.pageSettings()
    ).page(0)
    for way in ways() {
        let session = try load().makeSession()
        session.append(Message(.user, [.image(page), .text(made.needles[0].question)]))
        try answer(session, 16)
        let restored = try moved(session, to: engine)
        // No token ends the answer early: it is drawn from what the model makes of the page and of its own
        // text.
        var way = way
        way.sampling.repetitionPenalty = 1.05
        for other in [session, restored] { other.append(Message(.user, made.needles[1].question)) }
        let (expected, found) = (try answer(session, way), try answer(restored, way))
        #expect(found.text == expected.text && found.generatedTokens == expected.generatedTokens)
        #expect(found.imagesEncoded == 0 && found.cachedTokens == expected.cachedTokens)
        // An answer may end by itself: the text is gone on with, token by token.
        let prompts = try [session, restored].map { other in
            try other.complete(raw: made.needles[2].question, way) { _ in }.text
        }
        #expect(prompts[0] == prompts[1])
    }
}

@Test func whatIsSavedBetweenTurnsIsWhatThereIs() throws {
    let reader = try RandomReader(contextLength: 1024)
    // Nothing yet; a question without its answer; a conversation of which only the texts are left.
    let new = try moved(reader.engine.makeSession(), to: reader.load())
    #expect(new.messages.isEmpty && new.sequence.length == 0)
    let asked = reader.engine.makeSession()
    asked.append(Message(.user, [.image(picture(3)), .text("What?")]))
    let restored = try moved(asked, to: reader.load())
    #expect(try answer(restored).text == freshAnswer(reader, asked.messages).text)
    // An image that came last is none of those that the model has seen.
    let session = try begin(reader.load())
    session.append(Message(.user, [.image(picture(4))]))
    let other = try moved(session, to: reader.load())
    #expect(other.seen.count == 2 && other.messages.last?.images == [picture(4)])
    #expect(try answer(other).text == answer(session).text)
    // What was written whole has images that no message has: it is saved up to there.
    let raw = reader.engine.makeSession()
    _ = try raw.complete(raw: "One two<|image|>three", images: [picture(5)], options(4)) { _ in }
    let text = try moved(raw, to: reader.load())
    #expect(text.inputs.images.isEmpty && text.sequence.length == text.inputs.count && text.inputs.count > 0)
}

@Test func aSessionIsRestoredAgainAndAgain() throws {
    let reader = try RandomReader(contextLength: 1024)
    let (engine, straight) = (try reader.load(), try begin(reader.load()))
    var session = try begin(engine)
    for turn in 0..<4 {
        session = try moved(session, to: engine)
        for other in [session, straight] { other.append(Message(.user, "Turn \(turn)")) }
        #expect(try answer(session, 12).text == answer(straight, 12).text)
    }
}

@Test func pagesThatWaitOnDiskAreSaved() throws {
    let reader = try RandomReader(contextLength: 1024)
    let folder = try TemporaryDirectory()
    let engine = try reader.load {
        $0.contextLength = 256
        $0.spill = SpillSettings(folder: folder.url.path)
    }
    let session = try begin(engine)
    let others = (0..<3).map { _ in engine.makeSession() }
    for (index, other) in others.enumerated() {
        other.append(Message(.user, String(repeating: "Another \(index). ", count: 12)))
        try answer(other)
    }
    #expect(engine.pool.spilledPageCount > 0)
    let restored = try moved(session, to: reader.load())
    for other in [session, restored] { other.append(Message(.user, "Go on")) }
    #expect(try answer(restored).text == answer(session).text)
}

/// The tail of the last page held the answers of others.
@Test(arguments: KVType.allCases)
func nothingOfOthersIsSaved(type: KVType) throws {
    let reader = try RandomReader(contextLength: 256)
    let folder = try TemporaryDirectory()
    func saved(_ engine: Engine) throws -> Data {
        let session = engine.makeSession()
        session.append(Message(.user, "One"))
        try answer(session, 2)
        try session.save(to: folder.path("s"))
        var bytes = try Data(contentsOf: URL(filePath: folder.path("s")))
        // When it was saved, and the head's checksum, which has that in it.
        for index in Array(32..<40) + Array(112..<120) { bytes[index] = 0 }
        return bytes
    }
    let engine = try reader.load { $0.kvType = type }
    for number in 0..<8 {
        let other = engine.makeSession()
        other.append(Message(.user, String(repeating: "secret \(number) ", count: 8)))
        try answer(other, 30)
    }
    #expect(try saved(engine) == saved(reader.load { $0.kvType = type }))
}

// MARK: Trust

/// A file may say of its pages what it likes: no other session takes them for those of its own prompt.
@Test func whatWasRestoredIsNotShared() throws {
    let reader = try RandomReader(contextLength: 1024)
    let folder = try TemporaryDirectory()
    let messages = [
        Message(.user, [.text(String(repeating: "shared text ", count: 20)), .image(picture(1))])
    ]
    let session = try reader.load().makeSession()
    for message in messages { session.append(message) }
    try answer(session)
    try session.save(to: folder.path("s"))
    // Pages of other numbers, under checksums to match.
    var bytes = Array(try Data(contentsOf: URL(filePath: folder.path("s"))))
    try forgePages(&bytes)
    try folder.write(bytes, to: "s")
    let engine = try reader.load()
    let forged = try engine.restoreSession(from: folder.path("s"))
    forged.append(Message(.user, "Go on"))
    try answer(forged, 40)
    let fork = forged.fork()
    fork.append(Message(.user, "And on"))
    try answer(fork, 40)
    // The same prompts from the start find nothing of it.
    let other = engine.makeSession()
    for message in messages { other.append(message) }
    let result = try answer(other)
    #expect(try result.cachedTokens == 0 && result.text == freshAnswer(reader, messages).text)
    // Once all of it is forgotten, the session shares as others do.
    forged.clear()
    for message in messages { forged.append(message) }
    let again = try answer(forged)
    #expect(again.cachedTokens > 0 && again.text == result.text)
}

/// Changes all pages of a saved session, and makes checksums match.
private func forgePages(_ bytes: inout [UInt8]) throws {
    let folder = try TemporaryDirectory()
    let reader = try SessionFileReader(path: folder.write(bytes, to: "s"))
    let head = reader.head
    var writer = try SessionFileWriter(SessionClaim(path: folder.path("t")), head, reader.conversation())
    for index in 0..<head.imageCount {
        let (width, height) = reader.size(of: index)
        try writer.appendImage(
            png: reader.png(index), width: width, height: height, place: reader.place(of: index))
    }
    try writer.appendInputs(reader.inputs())
    for index in 0..<head.pageCount {
        let page = (0..<head.pageByteCount).map { UInt8(truncatingIfNeeded: $0 % 2 == 0 ? index : 0x3C) }
        try unsafe page.withUnsafeBytes { unsafe try writer.appendPage($0) }
    }
    _ = try writer.commit()
    bytes = Array(try Data(contentsOf: URL(filePath: folder.path("t"))))
}

// MARK: Refusals

@Test func whatIsOfAnotherModelOrFormIsRefused() throws {
    let reader = try RandomReader(contextLength: 512)
    let folder = try TemporaryDirectory()
    let path = folder.path("s")
    try begin(reader.engine).save(to: path)
    func refusal(_ engine: Engine) -> (code: ThimbleError.Code?, message: String) {
        let error = #expect(throws: ThimbleError.self) { try engine.restoreSession(from: path) }
        #expect(error?.message.contains(path) == true)
        return (error?.code, error?.message ?? "")
    }
    let other = try RandomReader(contextLength: 512, seed: 4)
    #expect(refusal(other.engine).code == .unsupported)
    #expect(refusal(other.engine).message.contains(other.path))
    let int8 = refusal(try reader.load { $0.kvType = .int8 })
    #expect(int8.code == .unsupported && int8.message.contains("--kv f16"))
    #expect(refusal(try reader.load { $0.contextLength = 32 }).code == .contextFull)
    #expect(refusal(try reader.load { $0.imageTokens = 2 }).code == .unsupported)
    #expect(throws: ThimbleError.self) { try reader.engine.restoreSession(from: folder.path("none")) }
    // What is refused leaves nothing behind.
    #expect(reader.engine.pool.freePageCount == reader.engine.pool.pageCount)
    _ = try reader.engine.restoreSession(from: path)
}

/// Bytes all over the file are changed, and the file is cut: an error each time, which names it.
@Test func aDamagedFileIsAnErrorThatNamesIt() throws {
    let reader = try RandomReader(contextLength: 512)
    let folder = try TemporaryDirectory()
    let path = folder.path("s")
    try begin(reader.engine).save(to: path)
    let whole = Array(try Data(contentsOf: URL(filePath: path)))
    var random = SeededGenerator(seed: 31)
    func expectError(_ bytes: [UInt8], _ what: Comment) throws {
        try folder.write(bytes, to: "s")
        let error = #expect(throws: ThimbleError.self, what) {
            try reader.engine.restoreSession(from: path)
        }
        #expect(error?.message.contains(path) == true, what)
        #expect(reader.engine.pool.freePageCount == reader.engine.pool.pageCount, what)
    }
    for _ in 0..<caseCount(300) {
        var bytes = whole
        let place = random.integer(below: whole.count)
        bytes[place] ^= UInt8(random.integer(in: 1...255))
        try expectError(bytes, "byte \(place)")
        try expectError(Array(whole[..<place]), "cut at \(place)")
    }
}

@Test func imagesThatAreNotWhatIsSaidAreRefused() throws {
    let reader = try RandomReader(contextLength: 512)
    let folder = try TemporaryDirectory()
    func restore(
        _ png: [UInt8], width: Int, height: Int, place: ImagePlace? = nil, inputs: [Int32] = []
    ) throws -> Session {
        let pool = reader.engine.pool
        let head = SessionHead(
            form: 0, model: reader.engine.savedIdentity, savedAt: 0, pageTokens: pool.pageTokens,
            positionCount: 0, pageByteCount: pool.pageByteCount)
        var writer = try SessionFileWriter(
            SessionClaim(path: folder.path("s")), head,
            SavedConversation(modelName: "m", messages: [.init(.user, [.image])]))
        try writer.appendImage(png: png, width: width, height: height, place: place)
        try writer.appendInputs(inputs)
        _ = try writer.commit()
        return try reader.engine.restoreSession(from: folder.path("s"))
    }
    func code(_ body: () throws -> Session) -> ThimbleError.Code? {
        #expect(throws: ThimbleError.self) { try body() }?.code
    }
    let png = try encodePNG(picture(1))
    let (width, height) = (picture(1).width, picture(1).height)
    #expect(try restore(png, width: width, height: height).messages[0].images == [picture(1)])
    for (width, height) in [(width - 1, height), (width + 1, height), (height, width), (1, 1), (9999, 9999)] {
        #expect(code { try restore(png, width: width, height: height) } == .corrupt)
    }
    #expect(code { try restore([1, 2, 3], width: width, height: height) } == .corrupt)
    #expect(code { try restore([], width: width, height: height) } == .corrupt)
    // Where it stands among the inputs is the model's to say.
    let grid = try reader.engine.visualGrid(of: picture(1))
    let token = try #require(reader.engine.imageToken)
    let row = [Int32](repeating: token, count: grid.count)
    func placed(_ inputs: [Int32], _ start: Int, _ rows: Int, _ columns: Int) throws -> Session {
        try restore(
            png, width: width, height: height,
            place: ImagePlace(start: start, rows: rows, columns: columns), inputs: inputs)
    }
    #expect(try placed([5] + row + [6], 1, grid.height, grid.width).inputs.images.count == 1)
    #expect(code { try placed([5] + row + [6], 0, grid.height, grid.width) } == .corrupt)
    #expect(code { try placed([5] + row + [6], 1, 1, grid.count) } == .unsupported)
    #expect(code { try placed([-1] + row, 1, grid.height, grid.width) } == .corrupt)
    #expect(code { try placed([.max] + row, 1, grid.height, grid.width) } == .corrupt)
}

// MARK: Forks

@Test func aForkGoesItsOwnWay() throws {
    let reader = try RandomReader(contextLength: 1024)
    let engine = try reader.load()
    let (session, straight) = (try begin(engine), try begin(reader.load()))
    let before = engine.pool.freePageCount
    let fork = session.fork()
    #expect(engine.pool.freePageCount == before && fork.messages.count == session.messages.count)
    fork.append(Message(.user, "Left"))
    let left = try answer(fork, 30)
    #expect(left.cachedTokens > 40 && left.imagesEncoded == 0)
    // The one that was forked never notices.
    for other in [session, straight] { other.append(Message(.user, "Right")) }
    #expect(try answer(session, 30).text == answer(straight, 30).text)
    #expect(session.messages.count == fork.messages.count)
    let alone = try begin(reader.load())
    alone.append(Message(.user, "Left"))
    #expect(try left.text == answer(alone, 30).text)
}

// MARK: Folders

@Test func theUsualFolderIsTheUsersOwn() throws {
    func folder(_ environment: [String: String]) -> String? {
        SavedSessions.usualFolder(environment: environment)
    }
    #expect(folder(["XDG_STATE_HOME": "/s", "HOME": "/h"]) == "/s/thimble/sessions")
    #expect(folder(["XDG_STATE_HOME": "s", "HOME": "/h"]) == "/h/.local/state/thimble/sessions")
    #expect(folder(["HOME": "/h"]) == "/h/.local/state/thimble/sessions")
    #expect(folder(["HOME": ""]) == nil && folder([:]) == nil)
}

@Test func savedSessionsAreListedRemovedAndCopied() throws {
    let reader = try RandomReader(contextLength: 512)
    let folder = try TemporaryDirectory()
    let sessions = try SavedSessions(folder: folder.path("sessions"))
    #expect(try sessions.list() == [] && !sessions.contains("a"))
    let session = try begin(reader.engine)
    let byteCount = try session.save(to: sessions.claim("a"))
    let details = try #require(try sessions.list().first?.details)
    #expect(details.messageCount == 5 && details.imageCount == 2 && details.modelName == "random")
    #expect(details.tokenCount == session.sequence.length)
    #expect(throws: ThimbleError.self) { try session.save(to: sessions.claim("b"), byteLimit: byteCount - 1) }
    #expect(try sessions.list().map(\.name) == ["a"])
    try sessions.copy("a", to: folder.path("copy"))
    try sessions.restore("c", from: folder.path("copy"))
    #expect(throws: ThimbleError.self) { try sessions.restore("c", from: folder.path("none")) }
    #expect(try reader.engine.restoreSession(from: sessions.path(of: "c")).messages.count == 5)
    #expect(try Set(sessions.list().map(\.name)) == ["a", "c"])
    #expect(try sessions.prune(unusedForDays: 1).isEmpty)
    #expect(try sessions.prune(byteLimit: byteCount, keeping: "a") == ["c"])
    try sessions.remove("a")
    for name in ["a", "../a", ""] { #expect(throws: ThimbleError.self) { try sessions.remove(name) } }
    // A file that cannot be read is listed, with the reason.
    try folder.write([1, 2, 3], to: "sessions/bad.session")
    #expect(try sessions.list().first?.fault?.isEmpty == false)
}

extension VulkanModelTests {
    /// Keys and values go from the device to a file, and come to other places of it, wherever the model is
    /// cut.
    @Test(arguments: [(nil, .f16), (1, .f16), (nil, .int8), (1, .int5)] as [(Int?, KVType)])
    static func aSessionOfTheDeviceIsRestored(deviceLayers: Int?, type: KVType) throws {
        let reader = try RandomReader(contextLength: 1024)
        func load() throws -> Engine {
            try device.engine(reader.path, contextLength: 1024) {
                ($0.deviceLayerCount, $0.kvType) = (deviceLayers, type)
            }
        }
        let session = try begin(load())
        let restored = try moved(session, to: load())
        for other in [session, restored] { other.append(Message(.user, "Go on")) }
        let (expected, found) = (try answer(session, 40), try answer(restored, 40))
        #expect(found.text == expected.text && found.cachedTokens == expected.cachedTokens)
        #expect(found.imagesEncoded == 0)
        // Another device goes on with it, too, its own roundings apart.
        let host = try moved(session, to: reader.load { ($0.device, $0.kvType) = (.cpu, type) })
        host.append(Message(.user, "And on"))
        let other = try answer(host, 40)
        #expect(other.generatedTokens == 40 && other.cachedTokens > 40)
        // And the device with one of the host's.
        let back = try moved(host, to: load())
        back.append(Message(.user, "And back"))
        let last = try answer(back, 40)
        #expect(last.generatedTokens == 40 && last.cachedTokens > other.cachedTokens)
    }
}

/// Images are not encoded again where they lie in the file already; what is saved is the same.
@Test func aSessionThatIsSavedAgainHasTheSameImages() throws {
    let reader = try RandomReader(contextLength: 1024)
    let folder = try TemporaryDirectory()
    let path = folder.path("s")
    func images() throws -> [RGBImage] {
        try reader.load().restoreSession(from: path).messages.flatMap(\.images)
    }
    let session = reader.engine.makeSession()
    func say(_ items: [Message.Item]) throws {
        session.append(Message(.user, items))
        try answer(session, 4)
        try session.save(to: path)
    }
    let (first, second) = (picture(1), picture(2, width: 84))
    try say([.image(first), .text("What is it?")])
    #expect(try images() == [first])
    try say([.text("And this?"), .image(second)])
    #expect(try images() == [first, second])
    // Of a file that is gone, or is another one by now, nothing is taken over.
    try FileManager.default.removeItem(atPath: path)
    try say([.text("Go on")])
    #expect(try images() == [first, second])
    let other = reader.engine.makeSession()
    other.append(Message(.user, [.image(picture(3)), .text("What is it?"), .image(picture(4, width: 84))]))
    try answer(other, 4)
    try other.save(to: path)
    try say([.text("Go on")])
    #expect(try images() == [first, second])
    // Another image in the place of the first.
    session.clear()
    try say([.image(picture(5)), .text("What is it?")])
    #expect(try images() == [picture(5)])
    session.rewind(to: 0)
    try say([.image(second), .text("What is it?")])
    #expect(try images() == [second])
}

@Test func savingTooMuchInADayIsRefused() throws {
    let reader = try RandomReader()
    let folder = try TemporaryDirectory()
    let sessions = try SavedSessions(folder: folder.path("sessions"))
    let session = reader.engine.makeSession()
    session.append(Message(.user, "Hello"))
    try answer(session, 4)
    let byteCount = try session.save(to: sessions.claim("a"))
    try session.save(to: sessions.claim("a"), writtenADay: byteCount)
    let error = #expect(throws: ThimbleError.self) {
        try session.save(to: sessions.claim("a"), writtenADay: byteCount)
    }
    #expect(error?.code == .io && error?.message.contains("sessions.written-a-day") == true)
    #expect(try sessions.list().map(\.name) == ["a"])
}
