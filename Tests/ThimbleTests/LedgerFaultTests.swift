//! Every piece of memory that a plan names is refused in turn: an error each, nothing kept, and no harm done.

import Foundation
import Memory
import TestSupport
import Testing

@testable import Thimble

@Suite struct LedgerFaultTests {
    private static let model = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path

    /// Loads within `limit` bytes, nil for any number, and answers about a small page.
    private func answer(_ ledger: Ledger) throws -> String {
        var options = EngineOptions()
        options.device = .cpu
        options.threadCount = 1
        options.contextLength = 512
        options.limits = ledger.limits
        options.programByteCount = 20 << 20
        let engine = try Engine(
            modelPath: Self.model, options: options, vulkan: VulkanAccess(), ledger: ledger)
        let session = engine.makeSession()
        let pixels = [UInt8](repeating: 230, count: 112 * 112 * 3)
        session.append(
            Message(.user, [.image(RGBImage(width: 112, height: 112, pixels: pixels)), .text("What is it?")]))
        var generation = GenerationOptions()
        generation.maximumTokens = 3
        return try session.generate(generation) { _ in }.text
    }

    /// The least limit that a refusal names, and some room: there weights pass.
    private func leastLimit() throws -> Int {
        let error = #expect(throws: ThimbleError.self) {
            try answer(Ledger(LedgerLimits(host: 1)))
        }
        let needed = try #require(error?.message.firstMatch(of: /--host-memory (\d+)MiB/)?.1)
        return try (#require(Int(needed)) + 8) << 20
    }

    @Test(arguments: [false, true])
    func everyDrawMayBeRefused(isLimited: Bool) throws {
        let limits = LedgerLimits(host: isLimited ? try leastLimit() : nil)
        let expected = try answer(Ledger(limits))
        var draw = 0
        while true {
            let chosen = draw
            let ledger = Ledger(limits, refusing: { $0 == chosen })
            do {
                #expect(try answer(ledger) == expected)
                #expect(ledger.entries.reduce(0) { $0 + $1.peak } > 0)
                break
            } catch let error as ThimbleError {
                #expect(error.code == .outOfMemory, "\(error)")
                #expect(error.message.contains("is refused"), "\(error)")
            }
            let kept = ledger.entries.filter { $0.byteCount > 0 }.map(\.name)
            #expect(Set(kept).isSubset(of: Plan.heldByProcess), "\(kept)")
            draw += 1
        }
        #expect(draw >= 6, "\(draw) draws were refused")
    }
}
