//! Keys and values on a bad disk: what cannot be written is an error of who wanted room, and what cannot be
//! read is computed anew.

import CFaultInjection
import Foundation
import TestSupport
import Testing
import Thimble

@Suite(.serialized, .enabled(if: fault_injection_is_linked(), "a sanitizer stands before the system calls"))
struct SpillFaultTests {
    private let folder: TemporaryDirectory
    private let model: String

    init() throws {
        folder = try TemporaryDirectory()
        model = folder.path("tiny.thimble")
        let configuration = try TinyConfiguration.write(to: folder, contextLength: 512)
        var options = ConversionOptions()
        options.threadCount = 1
        _ = try convert(.random(configuration: configuration, seed: 5), to: model, options)
    }

    private func makeEngine() throws -> Engine {
        var options = EngineOptions()
        options.device = .cpu
        options.threadCount = 1
        options.contextLength = 256
        options.spill = SpillSettings(folder: folder.path("spill"), writtenADay: 1 << 30)
        return try Engine(modelPath: model, options: options)
    }

    private func makeSession(_ engine: Engine, _ number: Int) -> Session {
        let session = engine.makeSession()
        let text = (0..<30).map { "\(number * 31 + $0 * 7)" }.joined(separator: " ")
        session.append(Message(.user, text))
        return session
    }

    private func answer(_ session: Session) throws -> String {
        var options = GenerationOptions()
        options.maximumTokens = 3
        options.sampling.temperature = 0
        options.sampling.repetitionPenalty = 1.3
        options.showsSpecialTokens = true
        return try session.generate(options) { _ in }.text
    }

    /// Four conversations in turns, two of which have room in memory. What they say is not looked at: where
    /// keys and values are computed anew, and other tokens together, the roundings are others.
    private func talking(_ engine: Engine) -> Scenario {
        Scenario("talk in turns", in: folder.url.appending(path: "spill")) {
            let sessions = (0..<4).map { self.makeSession(engine, $0) }
            var answers = 0
            for _ in 0..<2 {
                for session in sessions {
                    _ = try self.answer(session)
                    answers += 1
                    session.append(Message(.user, "Go on"))
                }
            }
            return "\(answers) answers"
        }
    }

    @Test func conversationsGoToDisk() throws {
        let engine = try makeEngine()
        #expect(try sweep(talking(engine), .error(FAULT_WRITE, EINTR, .success)).calls > 8)
        #expect(try sweep(talking(engine), .error(FAULT_READ, EINTR, .success)).calls > 8)
    }

    /// Where another page has a copy on disk already, that one makes room instead.
    @Test(arguments: [
        Fault.error(FAULT_WRITE, EIO, .either), .error(FAULT_WRITE, ENOSPC, .either), .short(FAULT_WRITE),
        Fault(kind: FAULT_WRITE, manner: FAULT_NOTHING, errorNumber: 0, outcome: .either),
    ])
    func whatCannotBeWrittenIsAnError(fault: Fault) throws {
        let result = try sweep(talking(try makeEngine()), fault)
        #expect(result.errors.keys.allSatisfy { $0 == .contextFull })
        #expect(fault.outcome == .success || result.errors[.contextFull, default: 0] > 8)
    }

    /// The conversation's inputs say what was in the page that is lost.
    @Test(arguments: [
        Fault.error(FAULT_READ, EIO, .success), .short(FAULT_READ),
        Fault(kind: FAULT_READ, manner: FAULT_NOTHING, errorNumber: 0, outcome: .success),
    ])
    func whatCannotBeReadIsComputedAnew(fault: Fault) throws {
        let result = try sweep(talking(try makeEngine()), fault)
        #expect(result.successes > 8)
    }

    @Test func aFullDiskHarmsNoOtherConversation() throws {
        let engine = try makeEngine()
        let expected = try makeEngine()
        let pairs = (0..<4).map { (makeSession(engine, $0), makeSession(expected, $0)) }
        for (session, other) in pairs.prefix(2) { #expect(try answer(session) == answer(other)) }
        let (errors, report) = withFault(.error(FAULT_WRITE, ENOSPC)) {
            pairs.dropFirst(2).map { pair in #expect(throws: ThimbleError.self) { try answer(pair.0) } }
        }
        #expect(report.injected > 0)
        for error in errors {
            #expect(error?.code == .contextFull && error?.message.contains("No space left") == true)
        }
        for (session, other) in pairs.prefix(2) {
            session.append(Message(.user, "Go on"))
            other.append(Message(.user, "Go on"))
            #expect(try answer(session) == answer(other))
        }
        // With room again, those that were refused are as before, too.
        for (session, other) in pairs.dropFirst(2) { #expect(try answer(session) == answer(other)) }
    }

    @Test(arguments: [
        Fault.error(FAULT_OPEN, EACCES), .error(FAULT_OPEN, ENOSPC), .error(FAULT_OPEN, EINTR, .success),
        // Where files need a name, they get one for a moment.
        .error(FAULT_OPEN, EOPNOTSUPP, .either), .error(FAULT_MAP, ENOMEM),
    ])
    func everyCallOfALoadMayFail(fault: Fault) throws {
        let spill = folder.path("spill")
        let scenario = Scenario("load", in: folder.url) {
            try self.answer(self.makeSession(self.makeEngine(), 1))
        }
        _ = try scenario.run()
        let scope = fault.kind == FAULT_MAP ? FAULT_THREAD : FAULT_FILES
        let result = try sweep(scenario, fault, scope: scope, prefix: spill)
        #expect(result.calls >= 2)
        let codes: Set<ThimbleError.Code> = fault.kind == FAULT_MAP ? [.outOfMemory] : [.cannotCreate]
        #expect(Set(result.errors.keys).isSubset(of: codes))
    }
}
