//! Counts what decoding on a Vulkan device takes: no block of the heap, and no object of the device.

import CAllocationCounter
import CVulkanFaults
import Models
import Testing

@testable import Thimble

/// Each test runs in a process of its own, for the counts are the process's and the thread's.
///
/// Counted are blocks that the decoding thread asks for outside of the driver's functions: what a driver
/// needs for itself in a call is its own, and what its threads do is not seen. Text is not covered, as in
/// AllocationTests.
@Suite(
    .serialized, needsDevice(),
    .enabled(
        if: allocation_counter_is_available() != 0,
        "the heap is counted with glibc only, and not under a sanitizer"))
struct VulkanAllocationTests {
    @Test func theCountersCount() async {
        await #expect(processExitsWith: .success) {
            var sink: [Int] = []
            func allocate() { sink = [Int](repeating: 1, count: 100 + CommandLine.arguments.count) }
            #expect(counted {} == Counts(blocks: 0, objects: 0))
            #expect(counted { allocate() } == Counts(blocks: 1, objects: 0))
            let paused = counted {
                allocation_pause_begin()
                allocate()
                allocation_pause_end()
            }
            #expect(paused == Counts(blocks: 0, objects: 0))
            let vulkan = try FaultyVulkan()
            let engine = try vulkan.engine()
            let made = counted { _ = try? engine.featureCache() }
            // A buffer and its memory on the device; on the host, what says where they are.
            #expect(made.objects == 2 && made.blocks > 0)
            #expect(sink.count > 100)
        }
    }

    @Test func decodingAllocatesNothing() async {
        await #expect(processExitsWith: .success) {
            let vulkan = try FaultyVulkan()
            let engine = try vulkan.engine()
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
                // From the middle of a page of keys and values, and from its last token.
                for promptTokens in [21, 31] {
                    let counts = try countDecoding(engine, options, promptTokens: promptTokens)
                    #expect(
                        counts == Counts(blocks: 0, objects: 0),
                        "\(counts): \(options), \(promptTokens) tokens")
                }
            }
        }
    }
}

extension VulkanAllocationTests {
    /// Nor does a token that goes through the processor's layers first.
    @Test func decodingBesideTheProcessorAllocatesNothing() async {
        await #expect(processExitsWith: .success) {
            let vulkan = try FaultyVulkan()
            // The prompt is the processor's, too, which learns then how long its work takes.
            let engine = try vulkan.engine(deviceLayers: 1, passageRows: .max)
            #expect(engine.plan.offloadedLayerCount > 0)
            for promptTokens in [21, 31] {
                let counts = try countDecoding(engine, SamplingOptions(), promptTokens: promptTokens)
                #expect(counts == Counts(blocks: 0, objects: 0), "\(counts): \(promptTokens) tokens")
            }
        }
    }
}

/// What something took.
private struct Counts: Equatable {
    /// Of the heap, outside of the driver.
    let blocks: Int64
    /// Of Vulkan.
    let objects: Int64
}

/// What `body` takes.
private func counted(_ body: () throws -> Void) rethrows -> Counts {
    vulkan_fault_begin(-1, 0, 0, false)
    allocation_thread_counter_start()
    defer { _ = allocation_thread_counter_stop() }
    try body()
    return Counts(blocks: allocation_thread_counter_stop(), objects: vulkan_fault_end().made)
}

/// Decodes 100 tokens, in runs of 1 and more, after the prompt and the token that follows it.
private func countDecoding(
    _ engine: Engine, _ options: SamplingOptions, promptTokens: Int
) throws -> Counts {
    let sequence = KVSequence(pool: engine.pool, capacity: engine.contextLength)
    var inputs = InputSequence()
    inputs.reserve(engine.contextLength)
    for index in 0..<promptTokens { inputs.append(Int32(300 + index * 7 % 100)) }
    var source = TokenSource(engine, options, inputs)
    func decode() throws {
        guard let token = try source.next(inputs, sequence, { false }) else {
            preconditionFailure("nobody has stopped it")
        }
        inputs.append(token)
    }
    try decode()
    return try counted { for _ in 0..<100 { try decode() } }
}
