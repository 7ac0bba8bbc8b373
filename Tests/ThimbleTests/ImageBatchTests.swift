//! Several images of a prompt go through the tower together where the plan has room, and change nothing.

import Documents
import Memory
import ModelFile
import Models
import TestSupport
import Tensors
import Testing

@testable import Thimble

/// Pages of odd sizes.
private let pages = [
    (112, 84), (280, 280), (57, 140), (113, 71), (196, 224), (56, 56), (300, 33),
].enumerated().map { picture($0, width: $1.0, height: $1.1) }

/// What the tower makes of each page, and how many passes through it that took.
private func look(_ engine: Engine, together: Bool) throws -> (features: [[Float]], passes: Int) {
    let store = try engine.featureCache().store
    var (features, passes) = ([VisualFeatures](), 0)
    func encode() throws {
        #expect(try engine.encodeBatch { false })
        passes += 1
    }
    for page in pages {
        let (made, cut) = (try engine.features(of: page), try engine.cut(of: page))
        if try !engine.joinsBatch(made, cut) || !together && !engine.batch.isEmpty { try encode() }
        engine.batch.append(page.pixels, cut, as: made)
        features.append(made)
    }
    try encode()
    let values = try features.map { try engine.model.featureBackend.values(of: $0.values) }
    for made in features { store.remove(made) }
    return (values, passes)
}

/// How often an answer to a question about all pages asks whether to stop.
private func stopsAsked(_ engine: Engine, _ question: String) throws -> Int {
    let session = engine.makeSession()
    session.append(Message(.user, [.text(question)] + pages.map { .image($0) }))
    var asked = 0
    func shouldStop() -> Bool {
        asked += 1
        return false
    }
    _ = try session.generate(options(1), shouldStop: shouldStop) { _ in }
    return asked
}

@Suite struct ImageBatchTests {
    @Test func pagesOfAPromptGoTogether() throws {
        let reader = try RandomReader()
        let (one, all) = (try look(reader.engine, together: false), try look(reader.engine, together: true))
        #expect(one.passes == pages.count && all.passes == 1)
        let isSame = one.features == all.features
        #expect(isSame)
        // The largest page alone, and hardly more: what was planned decides.
        let small = try reader.load { $0.chunkTokens = 16 }
        let few = try look(small, together: true)
        #expect(few.passes > 1 && few.passes < pages.count)
        let isSameInLess = few.features == one.features
        #expect(isSameInLess)
    }

    /// In the least memory that the model runs in, fewer pages go together, and each is the same.
    @Test func pagesInTheLeastMemoryAreTheSame() throws {
        let reader = try RandomReader()
        func load(_ limit: Int) throws -> Engine {
            try reader.load {
                $0.device = .cpu
                $0.limits.host = limit
                $0.programByteCount = 40 << 20
                $0.imageTokens = 100
            }
        }
        let refusal = try #require(#expect(throws: ThimbleError.self) { try load(1) })
        let least = try #require(refusal.message.firstMatch(of: /--host-memory (\d+)MiB/)?.1)
        let small = try load(#require(Int(least)) << 20)
        let few = try look(small, together: true)
        let ample = try look(load(1 << 30), together: true)
        #expect(ample.passes == 1 && few.passes > 1, "\(few.passes) in \(least) MiB")
        let isSame = few.features == ample.features
        #expect(isSame)
    }

    /// It is asked before each image, and before each block of the tower: once for all images.
    @Test func aPromptOfPagesRunsTheTowerOnce() throws {
        let engine = try RandomReader().engine
        let depth = try #require(engine.description.configuration.vision?.depth)
        let (first, second) = (try stopsAsked(engine, "One"), try stopsAsked(engine, "Two"))
        #expect(first - second == pages.count + depth)
    }
}

extension VulkanModelTests {
    /// A device may cut a product of more rows another way.
    @Test static func imagesTogetherAreWhatTheyAreAlone() throws {
        let reader = try RandomReader()
        let engine = try device.engine(reader.path, contextLength: 512)
        let (one, all) = (try look(engine, together: false), try look(engine, together: true))
        #expect(one.passes == pages.count && all.passes == 1)
        for (alone, together) in zip(one.features, all.features) {
            let largest = alone.reduce(0) { max($0, $1.magnitude) }
            let worst = zip(alone, together).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
            #expect(largest > 0 && worst <= 2e-3 * largest, "\(worst) of \(largest)")
        }
        // And those of the processor, as far as float16 and float32 sums allow.
        let host = try look(reader.load { $0.device = .cpu }, together: true)
        for (page, expected) in zip(all.features, host.features) {
            let largest = expected.reduce(0) { max($0, $1.magnitude) }
            let worst = zip(page, expected).reduce(0) { max($0, ($1.0 - $1.1).magnitude) }
            #expect(worst <= 0.02 * largest, "\(worst) of \(largest)")
        }
    }
}
