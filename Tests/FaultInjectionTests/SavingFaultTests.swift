//! Sessions saved to a bad disk: an error each time, and the session that was saved before is still there;
//! and read from one: an error, or the session.

import CFaultInjection
import Foundation
import TestSupport
import Testing
import Thimble

@Suite(.serialized, .enabled(if: fault_injection_is_linked(), "a sanitizer stands before the system calls"))
struct SavingFaultTests {
    private let folder: TemporaryDirectory
    private let engine: Engine
    /// What was saved before, and a session that has gone on since.
    private let old: Session
    private let new: Session
    private var place: URL { folder.url.appending(path: "sessions") }
    private var path: String { place.appending(path: "s.session").path }

    init() throws {
        folder = try TemporaryDirectory()
        let model = folder.path("tiny.thimble")
        let configuration = try TinyConfiguration.write(to: folder, contextLength: 512)
        var conversion = ConversionOptions()
        conversion.threadCount = 1
        _ = try convert(.random(configuration: configuration, seed: 5), to: model, conversion)
        var options = EngineOptions()
        options.device = .cpu
        options.threadCount = 1
        options.contextLength = 256
        engine = try Engine(modelPath: model, options: options)
        old = engine.makeSession()
        let grey = (0..<56 * 56 * 3).map { UInt8($0 % 251) }
        old.append(
            Message(.user, [.image(RGBImage(width: 56, height: 56, pixels: grey)), .text("What is it?")]))
        try Self.answer(old)
        new = old.fork()
        new.append(Message(.user, "Go on"))
        try Self.answer(new)
    }

    @discardableResult
    private static func answer(_ session: Session) throws -> String {
        var options = GenerationOptions()
        options.maximumTokens = 3
        options.sampling.temperature = 0
        options.showsSpecialTokens = true
        return try session.generate(options) { _ in }.text
    }

    /// Saves the new session in the place of the old one. A fork of it has no images in that file to take
    /// over.
    private var saving: Scenario {
        Scenario("save", in: place) {
            let sessions = try SavedSessions(folder: place.path)
            return "\(try new.fork().save(to: sessions.claim("s")))"
        }
    }

    /// The same of one that was saved there before, whose images are taken over.
    private var savingAgain: Scenario {
        Scenario("save again", in: place) {
            let sessions = try SavedSessions(folder: place.path)
            return "\(try new.save(to: sessions.claim("s")))"
        }
    }

    private var restoring: Scenario {
        Scenario("restore", in: place) {
            let session = try engine.restoreSession(from: path)
            return "\(session.messages.count) \(try Self.answer(session))"
        }
    }

    private func savedImages() throws -> [RGBImage] {
        try engine.restoreSession(from: path).messages.flatMap(\.items).compactMap {
            if case .image(let image) = $0 { image } else { nil }
        }
    }

    private func savedCount() throws -> Int { try engine.restoreSession(from: path).messages.count }

    private static let saveFaults: [Fault] = [
        .error(FAULT_OPEN, EIO), .error(FAULT_OPEN, ENOSPC), .error(FAULT_OPEN, EMFILE),
        .error(FAULT_OPEN, EINTR, .success), .error(FAULT_WRITE, ENOSPC),
        .error(FAULT_WRITE, EIO), .error(FAULT_WRITE, EINTR, .success),
        .short(FAULT_WRITE), .nothing(FAULT_WRITE), .error(FAULT_SYNC, EIO), .error(FAULT_SYNC, ENOSPC),
        .error(FAULT_SYNC, EINTR, .success), .error(FAULT_RENAME, EIO), .error(FAULT_RENAME, ENOSPC),
        .error(FAULT_TRUNCATE, EIO), .error(FAULT_CLOSE, EIO, .success),
        .error(FAULT_MAP, ENOMEM),
    ]

    @Test(arguments: saveFaults.indices)
    func everyCallOfSavingMayFail(index: Int) throws {
        try old.save(to: SavedSessions(folder: place.path).claim("s"))
        let result = try sweep(saving, Self.saveFaults[index])
        #expect(result.calls > 0)
        let codes: Set<ThimbleError.Code> = [.io, .cannotCreate, .outOfMemory]
        #expect(Set(result.errors.keys).isSubset(of: codes))
    }

    /// An image that cannot be read where it lies is encoded anew: what is saved is whole, or there is an
    /// error.
    @Test(arguments: [
        Fault.error(FAULT_OPEN, EIO, .either), .error(FAULT_READ, EIO, .either),
        .error(FAULT_READ, EINTR, .success),
        .error(FAULT_MAP, ENOMEM, .either), .error(FAULT_WRITE, ENOSPC),
    ])
    func everyCallOfSavingAgainMayFail(fault: Fault) throws {
        let sessions = try SavedSessions(folder: place.path)
        try new.save(to: sessions.claim("s"))
        let whole = try savedImages()
        let result = try sweep(savingAgain, fault)
        #expect(result.calls > 0)
        #expect(try savedImages() == whole && whole.count == 1)
    }

    /// Whose the file is cannot be told then, so that it is left to the next who may.
    @Test func aFileThatCannotBeLookedAtIsAnErrorAndGoesLater() throws {
        let sessions = try SavedSessions(folder: place.path)
        try old.save(to: sessions.claim("s"))
        let scenario = Scenario("save") { "\(try new.fork().save(to: sessions.claim("s")))" }
        #expect(try sweep(scenario, .error(FAULT_STAT, EIO)).calls >= 2)
        #expect(try sessions.list().count == 1)
        #expect(try FileManager.default.contentsOfDirectory(atPath: place.path) == ["s.session"])
    }

    /// Until the file has its name, the old session is there, byte for byte; then the new one.
    @Test(arguments: [
        Fault.error(FAULT_WRITE, ENOSPC), .error(FAULT_WRITE, EIO), .nothing(FAULT_WRITE),
        .error(FAULT_SYNC, EIO), .error(FAULT_RENAME, EIO),
    ])
    func theOldSessionOrTheNewOneIsThere(fault: Fault) throws {
        let sessions = try SavedSessions(folder: place.path)
        try old.save(to: sessions.claim("s"))
        let before = try Data(contentsOf: URL(filePath: path))
        var kept = 0
        for call in Int64(0)..<200 {
            let (error, report) = withFault(fault, from: call, count: 1) {
                do throws(ThimbleError) {
                    try new.save(to: sessions.claim("s"))
                    return nil as ThimbleError?
                } catch { return error }
            }
            if report.injected == 0 { break }
            #expect(error?.message.contains(path) == true)
            if try Data(contentsOf: URL(filePath: path)) == before {
                kept += 1
            } else {
                #expect(try savedCount() == new.messages.count)
                try old.save(to: sessions.claim("s"))
                try before.write(to: URL(filePath: path))
            }
            // Others go on meanwhile.
            #expect(try savedCount() == old.messages.count)
        }
        #expect(kept > 0)
        try new.save(to: sessions.claim("s"))
        #expect(try savedCount() == new.messages.count)
    }

    @Test(arguments: [
        Fault.error(FAULT_OPEN, EIO), .error(FAULT_OPEN, EACCES), .error(FAULT_OPEN, EINTR, .success),
        .error(FAULT_READ, EIO), .error(FAULT_READ, EINTR, .success), .short(FAULT_READ),
        .nothing(FAULT_READ), .error(FAULT_STAT, EIO), .error(FAULT_CLOSE, EIO, .success),
        .error(FAULT_MAP, ENOMEM),
    ])
    func everyCallOfRestoringMayFail(fault: Fault) throws {
        try new.save(to: SavedSessions(folder: place.path).claim("s"))
        let result = try sweep(restoring, fault)
        #expect(result.calls > 0)
        let codes: Set<ThimbleError.Code> = [.io, .corrupt, .outOfMemory]
        #expect(Set(result.errors.keys).isSubset(of: codes))
    }
}
