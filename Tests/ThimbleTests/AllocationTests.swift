//! Counts what decoding and reading pages ask the heap for: nothing.

import CAllocationCounter
import CFaultInjection
import Foundation
import Models
import Testing
@testable import Thimble

/// Each test runs in a process of its own, for the counter hears every thread and other tests allocate.
///
/// Covered: of a token, the forward pass and sampling with every filter and penalty; of a page, resizing and
/// cutting its pixels, the vision tower, and the prefill of its prompt. Not covered: rendering and
/// tokenising a prompt, drawing a page, and text, for a string of more than 15 UTF-8 bytes, or one whose
/// bytes have to be mended, is a block of its own.
@Suite(
    .enabled(
        if: allocation_counter_is_available() != 0,
        "the heap is counted with glibc only, and not under a sanitizer"))
struct AllocationTests {
    @Test func theCounterCounts() async {
        await #expect(processExitsWith: .success) {
            let none = allocations { _ in }
            let some = allocations { sink in
                sink = [Int](repeating: 1, count: 100 + CommandLine.arguments.count)
                sink.append(2)
            }
            #expect(none == 0 && some == 2)
        }
    }

    @Test func decodingAllocatesNothing() async {
        await #expect(processExitsWith: .success) {
            let engine = try makeEngine()
            var everything = SamplingOptions()
            everything.temperature = 1.5
            everything.topK = 200
            everything.topP = 0.95
            everything.minP = 0.001
            everything.repetitionPenalty = 1.1
            everything.frequencyPenalty = 0.1
            everything.presencePenalty = 0.1
            everything.seed = 7
            var unfiltered = SamplingOptions()
            unfiltered.temperature = 2
            unfiltered.seed = 8
            for options in [SamplingOptions(), everything, unfiltered] {
                // From the middle of a page of keys and values to beyond three more, and from its last token.
                for promptTokens in [21, 31, 600] {
                    let count = try countDecoding(engine, options, promptTokens: promptTokens)
                    #expect(count == 0, "\(options), \(promptTokens) tokens")
                }
            }
        }
    }

    /// Weights that pass through memory ask the heap for nothing either, whichever thread brings them.
    @Test func decodingWithPassingWeightsAllocatesNothing() async {
        await #expect(processExitsWith: .success) {
            let engine = try makeEngine(in: leastLimit())
            #expect(engine.plan.streamedByteCount > 0, "weights pass")
            #expect(try countDecoding(engine, SamplingOptions(), promptTokens: 40) == 0)
            #expect(try countReading(engine, width: 280, height: 392) == 0)
        }
    }

    @Test func readingAPageAllocatesNothing() async {
        await #expect(processExitsWith: .success) {
            for (width, height) in [(280, 392), (333, 250)] {
                let engine = try makeEngine()
                #expect(try countReading(engine, width: width, height: height) == 0, "\(width) x \(height)")
            }
        }
    }

    @Test func aPageThatMakesWayForAnotherAllocatesNothing() async {
        await #expect(processExitsWith: .success) {
            // Room for one page.
            let engine = try makeEngine(featureMemory: 0)
            #expect(try countReading(engine, width: 280, height: 392) == 0)
            #expect(try engine.featureCache().store.count < 2 * engine.imageTokenCount(of: page(1, 280, 392)))
        }
    }
}

/// Counts blocks of the heap, asked for by any thread, and mappings by this one. None is made to fail.
private func startCounting() {
    unsafe fault_injection_begin(FAULT_MAP, FAULT_ERROR, 0, .max, 0, FAULT_THREAD, "")
    allocation_counter_start()
}

/// Blocks and mappings since the start.
private func stopCounting() -> Int64 {
    let blocks = allocation_counter_stop()
    return blocks + fault_injection_end().calls
}

/// Blocks that `body` takes; it may leave an array behind.
private func allocations(_ body: (inout [Int]) -> Void) -> Int64 {
    var sink: [Int] = []
    startCounting()
    body(&sink)
    let count = stopCounting()
    precondition(sink.count != 1)
    return count
}

private func makeEngine(in limit: Int? = nil, featureMemory: Int? = nil) throws -> Engine {
    let root = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    var options = EngineOptions()
    options.threadCount = 2
    options.contextLength = 2048
    if let limit {
        options.device = .cpu
        options.limits.host = limit
        options.programByteCount = 40 << 20
    }
    options.featureMemory = featureMemory
    // Room for one of the pages below and hardly more.
    if featureMemory != nil { options.imageTokens = 200 }
    return try Engine(modelPath: root.appending(path: "Models/reader.thimble").path, options: options)
}

/// A little above the least limit that the model runs in.
private func leastLimit() throws -> Int {
    do { _ = try makeEngine(in: 1) } catch let error as ThimbleError {
        let needed = try #require(error.message.firstMatch(of: /--host-memory (\d+)MiB/)?.1)
        return try (#require(Int(needed)) + 4) << 20
    }
    preconditionFailure("a byte is too little")
}

/// Decodes 50 tokens after three that warm up.
private func countDecoding(
    _ engine: Engine, _ options: SamplingOptions, promptTokens: Int
) throws -> Int64 {
    let vocabularySize = engine.description.configuration.text.vocabularySize
    let sequence = KVSequence(pool: engine.pool, capacity: engine.contextLength)
    var inputs = InputSequence()
    inputs.reserve(engine.contextLength)
    for index in 0..<promptTokens { inputs.append(Int32(300 + index * 7 % 100)) }
    var sampler = Sampler(options, prompt: inputs.tokens, vocabularySize: vocabularySize)
    for step in 0..<53 {
        if step == 3 { startCounting() }
        var token: Int32?
        try unsafe engine.model.forward(inputs, into: sequence, logits: .last) {
            token = unsafe sampler.next($0)
        }
        guard let token else { preconditionFailure("the reader's logits are numbers") }
        inputs.append(token)
    }
    return stopCounting()
}

private func page(_ number: Int, _ width: Int, _ height: Int) -> RGBImage {
    RGBImage(width: width, height: height, pixels: (0..<width * height * 3).map { UInt8($0 * number % 251) })
}

/// Reads one page to warm up, and counts over a second of the same size.
private func countReading(_ engine: Engine, width: Int, height: Int) throws -> Int64 {
    let sequence = KVSequence(pool: engine.pool, capacity: engine.contextLength)
    var inputs = InputSequence()
    inputs.reserve(engine.contextLength)
    let pages = (1...2).map { page($0, width, height) }
    for (index, page) in pages.enumerated() {
        if index == 1 { startCounting() }
        sequence.truncate(to: 0)
        inputs.removeAll()
        for token in 0..<20 { inputs.append(Int32(300 + token)) }
        let features = try engine.features(of: page)
        guard try engine.featureCache().find(features) == nil else { preconditionFailure("it is new") }
        engine.batch.append(page.pixels, try engine.cut(of: page), as: features)
        guard try engine.encodeBatch(shouldStop: { false }) else {
            preconditionFailure("nobody has stopped it")
        }
        inputs.append(features, token: engine.imageToken ?? 0)
        for token in 0..<20 { inputs.append(Int32(400 + token)) }
        try unsafe engine.model.forward(inputs, into: sequence, logits: .last) { _ in }
        features.release()
    }
    return stopCounting()
}
