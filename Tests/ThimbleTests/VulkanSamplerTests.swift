//! Holds the device's draws against the host's sampler, both from equal logits: the same tokens, one after
//! the other.

import TestSupport
import Tensors
import Testing
import VulkanBackend

@testable import Thimble

/// Ways to draw, each filter and penalty alone and all together.
private let ways: [SamplingOptions] = {
    func options(_ change: (inout SamplingOptions) -> Void) -> SamplingOptions {
        var options = SamplingOptions()
        options.seed = 11
        change(&options)
        return options
    }
    return [
        options { _ in },
        options {
            $0.repetitionPenalty = 1.3
            $0.frequencyPenalty = 0.4
        },
        options { $0.temperature = 0.7 },
        options {
            $0.temperature = 1
            $0.topK = 5
        },
        options {
            $0.temperature = 1.5
            $0.topP = 0.8
        },
        options {
            $0.temperature = 2
            $0.minP = 0.1
        },
        options {
            $0.temperature = 1
            $0.presencePenalty = 0.5
            $0.repetitionPenalty = 0.8
        },
        options {
            $0.temperature = 1.2
            $0.topK = 40
            $0.topP = 0.9
            $0.minP = 0.02
            $0.repetitionPenalty = 1.1
            $0.frequencyPenalty = -0.1
            $0.presencePenalty = 0.2
        },
    ]
}()

/// Logits of a vocabulary, and what they are like.
private struct Logits: CustomStringConvertible {
    let description: String
    let rows: [[Float]]

    /// As many rows as the device draws before the host has to look.
    static let count = 64

    private init(
        _ description: String, _ size: Int, _ seed: UInt64, _ row: (inout SeededGenerator) -> [Float]
    ) {
        self.description = "\(description) of \(size)"
        var generator = SeededGenerator(seed: seed)
        rows = (0..<Self.count).map { _ in row(&generator) }
    }

    static let all: [Logits] =
        [1, 7, 1000, 5003].map { size in
            Logits("normal", size, 1) { $0.normals(size, deviation: 3) }
        } + [
            // A few values, so that every cut goes through equals.
            Logits("equal", 700, 2) { generator in (0..<700).map { _ in Float(generator.integer(below: 4)) }
            },
            Logits("far apart", 300, 3) { $0.normals(300, deviation: 60) },
            Logits("not finite", 90, 4) { generator in
                var row = generator.normals(90)
                for index in row.indices.shuffled(using: &generator).prefix(60) {
                    row[index] = generator.integer(below: 2) == 0 ? .nan : -.infinity
                }
                if generator.integer(below: 4) == 0 { row[generator.integer(below: 90)] = .infinity }
                return row
            },
        ]
}

extension VulkanModelTests {
    @Test(arguments: Logits.all)
    fileprivate static func theDeviceDrawsWhatTheHostDraws(logits: Logits) throws {
        let size = logits.rows[0].count
        let prompt = (0..<20).map { Int32($0 * 7 % size) }
        let backend = try VulkanBackend(vulkan.device)
        let state = try backend.makeStepState(
            StepShape(
                contextLength: 128, pageTokens: 16, vocabularySize: size, queryHeads: 1, kvHeads: 1,
                headSize: 16, frequencies: []))
        let memory = try backend.makeMemory(byteCount: size * 4, label: "logits")
        let activation = Activation(memory, rows: 1, columns: size)
        for options in ways {
            var sampler = Sampler(options, prompt: prompt, vocabularySize: size)
            let expected = logits.rows.map { row in
                unsafe row.withUnsafeBufferPointer { unsafe sampler.next($0) } ?? -1
            }
            let draw = DrawParameters(options)
            backend.begin(
                state, length: prompt.count, rotaryPosition: 0, pages: [], draw: draw, seen: prompt, drawn: []
            )
            for row in logits.rows {
                backend.write(row, to: activation)
                backend.draw(from: activation, draw.kind, state)
            }
            var drawn: [Int32] = []
            try backend.readTokens(of: state, from: 0, count: Logits.count) { tokens in
                drawn = tokens.indices.map { tokens[$0] }
            }
            #expect(drawn == expected, "\(options)")
        }
    }
}
