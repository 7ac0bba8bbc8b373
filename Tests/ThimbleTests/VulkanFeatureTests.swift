//! Features in a GPU's memory: kept, moved, written to disk and read back bit for bit.

import Foundation
import Models
import TestSupport
import Testing

@testable import Thimble

extension VulkanModelTests {
    /// Answers in ample room, in room for one image or little more, and with features from disk are one.
    @Test static func featuresAreTheSameWhereverTheyComeFrom() throws {
        let reader = try RandomReader()
        let folder = try TemporaryDirectory()
        let pages = [
            picture(1), picture(2, width: 280, height: 280), picture(3, width: 56, height: 140), picture(4),
            picture(5, width: 196, height: 224),
        ]
        func answers(_ change: (inout EngineOptions) -> Void) throws -> (text: String, counts: [Int]) {
            let engine = try device.engine(reader.path, contextLength: 512, change)
            let session = engine.makeSession()
            session.append(Message(.user, pages.map { .image($0) } + [.text("What?")]))
            let result = try answer(session)
            return (result.text, [result.imagesEncoded, result.imagesCached])
        }
        let ample = try answers { _ in }
        #expect(ample.counts == [5, 0] && !ample.text.isEmpty)
        for memory in [0, 90_000] {
            let keeping = { (options: inout EngineOptions) in
                options.featureMemory = memory
                options.featureDisk = 1 << 20
                options.featureFolder = folder.path("features-\(memory)")
            }
            #expect(try answers(keeping) == (ample.text, [5, 0]))
            #expect(try answers(keeping) == (ample.text, [0, 5]))
        }
    }

    /// On a device as on the processor, values that are moved together stay what they were.
    @Test static func whatIsMovedTogetherStaysWhatItWas() throws {
        let reader = try RandomReader()
        defer { withExtendedLifetime(reader) {} }
        let engine = try device.engine(reader.path, contextLength: 512) { $0.featureMemory = 0 }
        let cache = try engine.featureCache()
        // Of three, the first and the last go, and leave no gap that is large enough.
        let pages = [picture(1, width: 196, height: 196), picture(2, width: 140, height: 140), picture(3)]
        let all = try pages.map { try engine.features(of: $0) }
        for (page, features) in zip(pages, all) {
            #expect(try engine.hold(features, of: page, shouldStop: { false }) == .tower)
        }
        let before = try engine.backend.values(of: all[1].values)
        all[0].release()
        all[2].release()
        let large = picture(4, width: 280, height: 280)
        let features = try engine.features(of: large)
        #expect(cache.store.hasRoom(for: features))
        #expect(try engine.hold(features, of: large, shouldStop: { false }) == .tower)
        #expect(!cache.store.has(all[0]) && !cache.store.has(all[2]) && cache.store.has(all[1]))
        #expect(try engine.backend.values(of: all[1].values) == before)
    }
}
