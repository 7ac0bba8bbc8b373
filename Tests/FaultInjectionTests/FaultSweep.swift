//! Lets every call of a kind fail in turn, and looks at what comes of it.

import CFaultInjection
import Foundation
import TestSupport
import Testing
import Thimble

/// Something a user asks for, to be done again and again.
struct Scenario {
    let name: String
    /// The folder that no failed run may leave a file in.
    let folder: URL?
    /// Does it; what comes out is the same each time.
    let run: () throws -> String
    /// What is to be seen once it is done, outside the window: the files it made.
    var made: () throws -> Data = { Data() }

    /// The names in the folder.
    var contents: Set<String> {
        Set(folder.flatMap { try? FileManager.default.contentsOfDirectory(atPath: $0.path) } ?? [])
    }

    init(
        _ name: String, in folder: URL? = nil, made: @escaping () throws -> Data = { Data() },
        run: @escaping () throws -> String
    ) {
        self.name = name
        self.folder = folder
        self.run = run
        self.made = made
    }
}

/// A fault: which calls, and how they fail.
struct Fault: CustomStringConvertible {
    let kind: fault_kind
    let manner: fault_manner
    let errorNumber: Int32
    /// What may come of it.
    let outcome: Outcome

    enum Outcome {
        /// An error.
        case error
        /// The same result as without the fault.
        case success
        /// Either: the call has a substitute, or its failure means nothing.
        case either
    }

    static func error(_ kind: fault_kind, _ number: Int32, _ outcome: Outcome = .error) -> Fault {
        Fault(kind: kind, manner: FAULT_ERROR, errorNumber: number, outcome: outcome)
    }
    static func short(_ kind: fault_kind) -> Fault {
        Fault(kind: kind, manner: FAULT_SHORT, errorNumber: 0, outcome: .success)
    }
    static func nothing(_ kind: fault_kind) -> Fault {
        Fault(kind: kind, manner: FAULT_NOTHING, errorNumber: 0, outcome: .error)
    }

    var description: String {
        let names = ["open", "read", "write", "sync", "rename", "truncate", "close", "map", "stat"]
        let what =
            switch manner {
            case FAULT_SHORT: "moves one byte"
            case FAULT_NOTHING: "moves nothing"
            default: unsafe String(cString: strerror(errorNumber))
            }
        return "\(names[Int(kind.rawValue)]): \(what)"
    }
}

/// What a sweep met: the calls of the kind in one run, and the codes of the errors.
struct SweepResult {
    var calls: Int64 = 0
    var errors: [ThimbleError.Code: Int] = [:]
    var successes = 0
}

/// One window at a time is open in the process, so that sweeps of different tests take turns.
private let turn = NSLock()

/// Runs `body` with `count` calls, of this thread unless another scope is asked for, from the one numbered
/// `first` on failing.
func withFault<Result>(
    _ fault: Fault, from first: Int64 = 0, count: Int64 = .max, scope: fault_scope = FAULT_THREAD,
    prefix: String = "", _ body: () throws -> Result
) rethrows -> (result: Result, report: fault_report) {
    turn.lock()
    defer { turn.unlock() }
    unsafe fault_injection_begin(
        fault.kind, fault.manner, fault.errorNumber, first, count, scope, prefix)
    defer { _ = fault_injection_end() }
    let result = try body()
    return (result, fault_injection_end())
}

/// Runs `scenario` with the first call of the fault's kind failing, then the second, and so on, until a run
/// ends in which the fault was not reached; and once more for each with every call from there on failing,
/// where that cannot go on for ever. After each failure, nothing has leaked, no file is left over, and the
/// next attempt succeeds.
@discardableResult
func sweep(
    _ scenario: Scenario, _ fault: Fault, scope: fault_scope = FAULT_THREAD, prefix: String = "",
    at location: SourceLocation = #_sourceLocation
) throws -> SweepResult {
    turn.lock()
    defer { turn.unlock() }
    let expected = try scenario.run()
    let expectedMade = try scenario.made()
    var result = SweepResult()
    /// Runs with `count` calls from `first` on failing; whether a call failed.
    func attempt(_ first: Int64, _ count: Int64) throws -> Bool {
        let before = scenario.contents
        unsafe fault_injection_begin(
            fault.kind, fault.manner, fault.errorNumber, first, count, scope, prefix)
        let outcome = Result { try scenario.run() }
        let report = fault_injection_end()
        let words: Comment = "\(scenario.name), \(fault), \(count) from call \(first) on"
        result.calls = report.calls
        switch outcome {
        case .success(let value):
            #expect(value == expected, words, sourceLocation: location)
            #expect(
                report.injected == 0 || fault.outcome != .error, "no error: \(words)",
                sourceLocation: location)
            if report.injected > 0 { result.successes += 1 }
        case .failure(let error):
            #expect(
                report.injected > 0 && fault.outcome != .success, "\(error): \(words)",
                sourceLocation: location)
            let code = try #require(error as? ThimbleError, words, sourceLocation: location).code
            result.errors[code, default: 0] += 1
        }
        #expect(report.open_descriptors == 0, words, sourceLocation: location)
        #expect(report.mapped_bytes == 0, words, sourceLocation: location)
        // A file is there whole, as an earlier run made it or as this one did; nothing else is.
        #expect(scenario.contents == before, words, sourceLocation: location)
        #expect(try scenario.made() == expectedMade, words, sourceLocation: location)
        if report.injected > 0 {
            #expect(try scenario.run() == expected, "the next attempt: \(words)", sourceLocation: location)
            #expect(try scenario.made() == expectedMade, words, sourceLocation: location)
        }
        return report.injected > 0
    }
    // An interrupted call is called again, so one that is always interrupted never ends.
    let isLasting = fault.manner == FAULT_ERROR && fault.errorNumber != EINTR
    for first in Int64(0)..<10_000 {
        guard try attempt(first, 1) else { return result }
        if isLasting { _ = try attempt(first, .max) }
    }
    Issue.record("\(scenario.name), \(fault): the calls never end", sourceLocation: location)
    return result
}
