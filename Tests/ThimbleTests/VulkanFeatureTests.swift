//! Features in a GPU's memory: kept, written to disk and read back bit for bit.

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
}
