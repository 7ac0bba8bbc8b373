//! The 9B model on every board that is described: a plan within its limits, or a refusal that says what fits.

import Foundation
import Memory
import TestSupport
import Testing

@testable import Thimble

@Suite struct ProfilePlanTests {
    private let configuration = Fixtures.url("checkpoints/configs/GLM-4.1V-9B-Thinking.config.json").path

    private func plan(_ options: EngineOptions) throws -> Plan {
        var options = options
        options.device = .cpu
        options.programByteCount = 40 << 20
        return try Engine.plan(configurationPath: configuration, ConversionOptions(), options: options)
    }

    /// On the processor: what a board's GPU has is planned where there is one.
    @Test(arguments: Budget.profileNames)
    func everyBoardGetsAPlanWithinItsLimits(name: String) throws {
        let budget = try Budget(named: name)
        let options = try options(budget)
        let limit = try #require(options.limits.host ?? options.limits.total ?? options.limits.device)
        var asked = options
        asked.limits = LedgerLimits(host: limit)
        let plan = try self.plan(asked)
        #expect(plan.byteCount(.host) <= limit)
        #expect(plan.contextLength <= options.contextCeiling ?? .max && plan.contextLength >= 1024)
        #expect(plan.items.reduce(0) { $0 + $1.byteCount } == plan.byteCount(.host))
    }

    /// Sensors are the board's, and none of this machine's.
    private func options(_ budget: Budget) throws -> EngineOptions {
        var budget = budget
        budget.thermal = Budget.Thermal()
        return try EngineOptions(budget)
    }

    @Test func thereAreBoards() { #expect(Budget.profileNames.count >= 6) }

    @Test func whatFitsNowhereIsRefusedWithWhatWould() throws {
        var options = EngineOptions()
        options.limits.host = 200 << 20
        options.contextLength = 4096
        let error = #expect(throws: ThimbleError.self) { try plan(options) }
        #expect(error?.code == .budgetExceeded)
        let needed = try #require(error?.message.firstMatch(of: /--host-memory (\d+)MiB/)?.1)
        options.limits.host = try #require(Int(needed)) << 20
        let made = try plan(options)
        #expect(made.byteCount(.host) <= options.limits.host ?? 0)
        #expect(made.streamedByteCount > 4 << 30, "almost all of it is read for each token")
        options.limits.host = (try #require(Int(needed)) - 8) << 20
        #expect(throws: ThimbleError.self) { try plan(options) }
    }

    @Test func aGibibyteMoreReadsNoMore() throws {
        var last = Int.max
        for gibibytes in 2...9 {
            var options = EngineOptions()
            options.limits.host = gibibytes << 30
            options.contextLength = 4096
            options.imageTokens = 2048
            let read = try plan(options).streamedByteCount
            #expect(read <= last)
            last = read
        }
        #expect(last == 0, "9 GiB hold it all")
    }
}
