//! Holds the features that an engine's sessions share: each image is encoded once, in whatever room, and
//! answers are what they are without.

import Documents
import Foundation
import Memory
import Models
import TestSupport
import Testing

@testable import Thimble

/// A conversation of one question about images. Of another question, no keys and values are known: they
/// begin with its text.
private func ask(_ engine: Engine, _ images: [RGBImage], _ question: String = "One") -> Session {
    let session = engine.makeSession()
    session.append(message(images, question))
    return session
}

private func message(_ images: [RGBImage], _ question: String = "One") -> Message {
    Message(.user, [.text(question)] + images.map { .image($0) } + [.text("What?")])
}

/// What a result says of its images: how many were encoded, and how many were known.
private func counts(_ result: GenerationResult) -> [Int] { [result.imagesEncoded, result.imagesCached] }

@Suite struct FeatureCacheTests {
    private let reader: RandomReader
    private let folder: TemporaryDirectory
    private var features: URL { folder.url.appending(path: "features") }

    init() throws {
        reader = try RandomReader()
        folder = try TemporaryDirectory()
    }

    /// An engine that keeps features on disk, and in memory those of one image or hardly more.
    private func keeping(
        _ disk: Int? = 1 << 20, memory: Int? = nil, _ change: (inout EngineOptions) -> Void = { _ in }
    ) throws -> Engine {
        try reader.load {
            $0.featureDisk = disk
            $0.featureMemory = memory
            $0.featureFolder = features.path
            change(&$0)
        }
    }

    private var entries: [String] {
        ((try? FileManager.default.contentsOfDirectory(atPath: features.path)) ?? [])
            .filter { $0.hasSuffix(".features") }
    }

    // MARK: In memory

    @Test func twoSessionsEncodeAnImageOnce() throws {
        let pages = [picture(1), picture(2, width: 56, height: 140)]
        let first = try answer(ask(reader.engine, pages))
        #expect(counts(first) == [2, 0] && first.cachedTokens == 0)
        // A copy of the pixels is the same image.
        let copies = pages.map { RGBImage(width: $0.width, height: $0.height, pixels: Array($0.pixels)) }
        let second = try answer(ask(reader.engine, copies, "Two"))
        #expect(counts(second) == [0, 2] && second.cachedTokens < 16)
        #expect(try second.text == freshAnswer(reader, [message(pages, "Two")]).text)
        // Where the keys and values are known, too, nothing is asked for.
        let again = try answer(ask(reader.engine, copies))
        #expect(counts(again) == [0, 2] && again.text == first.text && again.cachedTokens > 30)
        // A third page is the only one to encode, and a page may come twice.
        let more = [pages[1], picture(3), pages[1], picture(3)]
        let third = try answer(ask(reader.engine, more))
        #expect(counts(third) == [1, 3])
        let alone = try freshAnswer(reader, [message(more)])
        #expect(third.text == alone.text && counts(alone) == [2, 2])
    }

    /// One pixel, the rows' length and the order of pages make other images.
    @Test func anImageThatDiffersIsAnother() throws {
        let page = picture(1, width: 112, height: 84)
        _ = try answer(ask(reader.engine, [page]))
        var pixels = page.pixels
        pixels[pixels.count - 1] ^= 1
        for other in [
            RGBImage(width: 112, height: 84, pixels: pixels),
            RGBImage(width: 84, height: 112, pixels: page.pixels),
        ] {
            #expect(try counts(answer(ask(reader.engine, [other]))) == [1, 0])
        }
        #expect(try counts(answer(ask(reader.engine, [page], "Two"))) == [0, 1])
    }

    @Test func prefixesMatchAcrossSessions() throws {
        let pages = [picture(1), picture(2)]
        let mine = try reader.engine.features(of: pages[0])
        _ = try answer(ask(reader.engine, pages))
        let theirs = try reader.engine.features(of: pages[0])
        #expect(mine.image == theirs.image && mine.grid == theirs.grid)
        var (one, other) = (InputSequence(), InputSequence())
        one.append(mine, token: 1)
        other.append(theirs, token: 1)
        #expect(one.commonPrefixLength(with: other) == one.count)
    }

    /// Room for the largest image alone, so that every other prompt's images make way; what the keys and
    /// values hold is not asked for again.
    @Test func aSecondQuestionEncodesNothingWhateverHasMadeWay() throws {
        let engine = try reader.load { $0.featureMemory = 0 }
        let pages = (1...4).map { picture($0, width: 112, height: 112) }
        let session = ask(engine, pages)
        #expect(try counts(answer(session)) == [4, 0])
        // Eight more of them do not fit beside each other.
        let others = (11...18).map { picture($0, width: 112, height: 112) }
        #expect(try counts(answer(ask(engine, others, "Two"))) == [8, 0])
        #expect(try !engine.featureCache().store.has(engine.features(of: pages[0])))
        session.append(Message(.user, "And?"))
        let messages = session.messages
        let second = try answer(session)
        #expect(counts(second) == [0, 4] && second.cachedTokens > 4 * 16)
        #expect(second.text == (try freshAnswer(reader, messages)).text)
    }

    /// Every piece that is drawn is one of the plan's, and no larger.
    @Test(arguments: [nil, 40, 400] as [Int?], [nil, 0, 1 << 20] as [Int?])
    func whatIsDrawnIsWhatWasPlanned(limit: Int?, memory: Int?) throws {
        let engine: Engine
        do {
            engine = try reader.load {
                $0.device = .cpu
                $0.featureMemory = memory
                // What the process of all tests holds is not the model's.
                $0.limits.host = limit.map { $0 << 20 + (ProcessMemory.resident ?? 0) }
            }
        } catch let error as ThimbleError {
            // Other tests may take memory in this moment.
            #expect(error.code == .budgetExceeded && limit == 40, "\(error)")
            return
        }
        _ = try answer(ask(engine, (1...6).map { picture($0, width: 224, height: 196) }))
        for entry in engine.ledger.entries {
            let planned = engine.plan.items.first { $0.name == entry.name && $0.place == entry.place }
            #expect(entry.peak <= planned?.byteCount ?? 0, "\(entry)")
        }
        let names = Set(engine.ledger.entries.map(\.name))
        #expect(names.isSuperset(of: ["visual features", "page images"]))
        #expect(engine.ledger.peak(.host) <= engine.plan.byteCount(.host))
    }

    /// The room for features decides how often a prompt stops to make room, and nothing else.
    @Test(arguments: [0, 60_000, 80_000, 110_000, 1 << 20])
    func aPromptOfAnyImagesFitsAnyRoom(memory: Int) throws {
        let engine = try reader.load { $0.featureMemory = memory }
        let sizes = [
            (112, 112), (280, 280), (56, 140), (140, 56), (224, 112), (280, 196), (56, 56), (112, 140),
        ]
        let pages = sizes.enumerated().map { picture($0, width: $1.0, height: $1.1) }
        let session = ask(engine, pages)
        let result = try answer(session)
        #expect(counts(result) == [8, 0])
        let ample = try freshAnswer(reader, [session.messages[0]])
        #expect(result.text == ample.text && result.promptTokens == ample.promptTokens)
        let store = try engine.featureCache().store
        #expect(store.count <= store.capacity)
        let entry = try #require(engine.ledger.entries.first { $0.name == "visual features" })
        // Four patches make a visual token, of 128 numbers.
        let largest = engine.model.patchCapacity / 4
        #expect(store.capacity == max(memory / 512, largest) && entry.peak == store.capacity * 512)
    }

    /// Logits of all positions come in order, in whatever runs. Where two of the largest images and a chunk
    /// have room, chunks are what they are without, and so is every bit.
    @Test func logitsAreTheSameInAnyRoom() throws {
        let image = try #require(reader.engine.imageToken)
        let tokens: [Int32] = [5, image, 6, 7, image, image, 8, image, image]
        let pages = (1...5).map { picture($0, width: 280, height: 280) }
        func logits(_ memory: Int?) throws -> [Float] {
            let engine = try reader.load {
                $0.featureMemory = memory
                $0.chunkTokens = 32
            }
            var values: [Float] = []
            try unsafe engine.logits(of: tokens, images: pages) { unsafe values.append(contentsOf: $0) }
            return values
        }
        let ample = try logits(nil)
        #expect(ample.count == 504 * reader.engine.description.configuration.text.vocabularySize)
        let largest = reader.engine.model.patchCapacity / 4
        #expect(2 * largest + 32 < 400)
        #expect(try logits((2 * largest + 32) * 512) == ample)
        let least = try logits(0)
        #expect(least.count == ample.count && zip(least, ample).allSatisfy { abs($0 - $1) <= 2e-3 })
    }

    @Test func aStopBetweenImagesIsKeptToAndTheAnswerComesLater() throws {
        let engine = try reader.load { $0.featureMemory = 0 }
        let pages = (1...4).map { picture($0, width: 196, height: 196) }
        let session = ask(engine, pages)
        // Asked before each image, each block of the tower and each layer of what is run to make room.
        for stop in stride(from: 0, to: 40, by: 3) {
            var asked = 0
            func shouldStop() -> Bool {
                asked += 1
                return asked > stop
            }
            let result = try session.generate(options(1), shouldStop: shouldStop) { _ in }
            session.removeLastMessage()
            if result.finishReason != .cancelled { break }
            #expect(result.generatedTokens == 0)
        }
        let messages = session.messages
        #expect(try answer(session).text == freshAnswer(reader, messages).text)
    }

    @Test func sizesThatCannotBeAreRefused() throws {
        for size in [-1, 1 << 51, .min, .max] {
            for change in [
                { $0.featureMemory = size }, { $0.featureDisk = size },
            ] as [(inout EngineOptions) -> Void] {
                let error = #expect(throws: ThimbleError.self) { try reader.load(change) }
                #expect(error?.code == .invalidArgument)
            }
        }
    }

    // MARK: On disk

    @Test func anotherEngineEncodesNothingAndAnswersTheSame() throws {
        let pages = [picture(1), picture(2, width: 56, height: 140), picture(3, width: 280, height: 280)]
        let first = try answer(ask(keeping(), pages))
        #expect(counts(first) == [3, 0] && entries.count == 3)
        for memory in [nil, 0] {
            let engine = try keeping(memory: memory)
            let second = try answer(ask(engine, pages))
            #expect(counts(second) == [0, 3] && second.text == first.text)
            #expect(!engine.isFeatureFolderUnusable)
        }
        #expect(try answer(ask(reader.load(), pages)).text == first.text)
        // Without leave to keep anything, nothing is looked for either.
        #expect(try counts(answer(ask(keeping(nil), pages))) == [3, 0])
    }

    /// What decides what features are, beside the image.
    @Test func featuresOfAnotherModelOrSettingAreStrangers() throws {
        let page = picture(1, width: 280, height: 280)
        _ = try answer(ask(keeping(), [page]))
        #expect(try counts(answer(ask(keeping { $0.imageTokens = 40 }, [page]))) == [1, 0])
        #expect(try counts(answer(ask(keeping { $0.imageTokens = 40 }, [page]))) == [0, 1])
        let other = try RandomReader(seed: 4)
        let engine = try other.load {
            $0.featureDisk = 1 << 20
            $0.featureFolder = features.path
        }
        #expect(try counts(answer(ask(engine, [page]))) == [1, 0])
        #expect(try counts(answer(ask(keeping(), [page]))) == [0, 1])
        // A copy of the model is the same.
        let copy = folder.path("copy.thimble")
        try FileManager.default.copyItem(atPath: reader.path, toPath: copy)
        var options = EngineOptions()
        options.contextLength = 512
        options.featureDisk = 1 << 20
        options.featureFolder = features.path
        #expect(try counts(answer(ask(Engine(modelPath: copy, options: options), [page]))) == [0, 1])
    }

    @Test func whatMadeWayInMemoryComesFromDisk() throws {
        let engine = try keeping(memory: 0)
        let (a, b) = (picture(1, width: 280, height: 280), picture(2, width: 280, height: 280))
        let first = try answer(ask(engine, [a]))
        #expect(try counts(answer(ask(engine, [b]))) == [1, 0])
        let store = try engine.featureCache().store
        #expect(try !store.has(engine.features(of: a)) && store.has(engine.features(of: b)))
        let again = try answer(ask(engine, [a], "Two"))
        #expect(counts(again) == [0, 1] && first.generatedTokens > 0)
        #expect(try again.text == freshAnswer(reader, [message([a], "Two")]).text)
        // 51,264 bytes each: one fits, and the one asked for last stays.
        let small = try keeping(100_000, memory: 0)
        #expect(entries.count == 2)
        _ = try answer(ask(small, [a]))
        #expect(entries.count == 1)
        #expect(try counts(answer(ask(keeping(100_000), [a]))) == [0, 1])
    }

    /// Each is damaged in its own way, and none is believed.
    @Test func damagedEntriesAreEncodedAnew() throws {
        let page = picture(1)
        let first = try answer(ask(keeping(), [page]))
        let url = try features.appending(path: #require(entries.first))
        let file = try Data(contentsOf: url)
        let damages: [(inout Data) -> Void] = [
            { $0[$0.count - 1] ^= 1 }, { $0[8] ^= 2 }, { $0.removeLast(100) }, { $0.removeAll() },
            { $0.append(0) }, { $0[64] = 0xFF }, { $0[40] ^= 0x80 },
        ]
        for damage in damages {
            var bytes = file
            damage(&bytes)
            try bytes.write(to: url)
            let result = try answer(ask(keeping(), [page]))
            #expect(counts(result) == [1, 0] && result.text == first.text)
            #expect(try Data(contentsOf: url) == file)
        }
    }

    @Test func aFolderThatCannotBeUsedCostsTimeAlone() throws {
        // A file in its place stops every user, root included.
        try Data().write(to: features)
        let engine = try keeping()
        let page = picture(1)
        #expect(try counts(answer(ask(engine, [page]))) == [1, 0])
        #expect(engine.isFeatureFolderUnusable)
        #expect(try counts(answer(ask(engine, [page], "Two"))) == [0, 1])
        #expect(try Data(contentsOf: features).isEmpty)
    }

    @Test func theFolderFollowsTheEnvironment() {
        #expect(CacheFolder.path(environment: ["XDG_CACHE_HOME": "/x", "HOME": "/h"]) == "/x/thimble")
        #expect(CacheFolder.path(environment: ["XDG_CACHE_HOME": "x", "HOME": "/h"]) == "/h/.cache/thimble")
        #expect(CacheFolder.path(environment: ["HOME": ""]) == nil)
    }
}
