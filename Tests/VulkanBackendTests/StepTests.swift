//! Holds recorded steps, which keep the token and its place on the device, against operations asked one by
//! one.

import Foundation
import TestSupport
import Tensors
import Testing
import VulkanCompute

@testable import VulkanBackend

/// A model of one layer, in a bench.
private struct Layer {
    let shape: AttentionShape
    let embedding, qkv, output, head: Matrix
    let bias, norm: Vector
    let kv: PagedKV
    let frequencies: [Float]
    let residual, queries, attended, logits, cosines, sines: Activation

    /// Scores are as large in a wide model as in a narrow one: larger, a rounding of a key moves a weight.
    let scale: Float

    static let vocabulary = 70

    init(
        _ bench: inout Bench, _ shape: AttentionShape, _ format: WeightFormat, hidden: Int, pages: Int
    ) throws {
        self.shape = shape
        scale = 0.2 * 72 / Float(hidden)
        embedding = try bench.matrix(Self.vocabulary, hidden, format)
        qkv = try bench.matrix(shape.outputs, hidden, format)
        output = try bench.matrix(hidden, shape.columns, format)
        head = try bench.matrix(Self.vocabulary, hidden, format)
        (bias, norm) = (try bench.vector(shape.outputs).0, try bench.vector(hidden).0)
        let table = BlockTable.scattered(pages, among: pages + 2, &bench.generator)
        kv = try bench.pages(shape, table, limit: pages + 2, offset: 256)
        let pairs = shape.headSize / 4
        frequencies = (0..<pairs).map { pow(100, -Float($0) / Float(pairs)) }
        residual = try bench.random(1, hidden).0
        queries = try bench.random(1, shape.columns).0
        attended = try bench.random(1, shape.columns).0
        logits = try bench.random(1, Self.vocabulary).0
        (cosines, sines) = (try bench.random(1, pairs).0, try bench.random(1, pairs).0)
    }

    /// From the embedding in `residual` to `logits`, at a position whose angles are in `cosines` and `sines`.
    func run(on backend: any Backend, position: Int) {
        backend.project(
            .rmsNorm(residual, weight: norm, epsilon: 1e-5), qkv,
            .attentionInputs(
                queries: queries, bias: bias,
                rotary: Rotary(cosines: cosines, sines: sines, pairing: .interleaved), kv: kv,
                start: position))
        backend.attention(
            queries: queries, kv: kv, start: position, length: position + 1, isCausal: true, scale: scale,
            into: attended)
        backend.project(.plain(attended), output, .add(residual))
        backend.project(.rmsNorm(residual, weight: norm, epsilon: 1e-5), head, .store(logits, bias: nil))
    }
}

extension VulkanBackendTests {
    @Suite struct StepTests {
        /// Of a row of logits, where weights are floats. What attention is off by comes out as large as it
        /// went in: so this would show queries or softmax weights of 11 bits, which make 4e-5 to 8e-4.
        private static let rounding: Float = 2e-5
        /// With codes, what attention is off by moves an activation's code now and then, and that one
        /// others: of 192 rows, attended numbers off by 1e-5 of themselves, none moved by 5e-3.
        private static let codeFlips: Float = 5e-3
        /// With keys and values of codes, likewise one of those.
        private static let keyFlips: Float = 5e-3

        /// The likeliest token, and logits, of each of `count` steps after `length` positions.
        private func expected(
            _ bench: inout Bench, _ layer: Layer, length: Int, rotary: Int, count: Int
        ) throws -> [(token: Int32, logits: [Float])] {
            func draw() throws -> (Int32, [Float]) {
                let logits = try bench.values(layer.logits)
                return (Int32(logits.indices.max { logits[$0] < logits[$1] } ?? 0), logits)
            }
            var made = [try draw()]
            for step in 0..<count {
                bench.backend.embed([made[step].0].span, table: layer.embedding, into: layer.residual)
                let angles = layer.frequencies.map { $0 * Float(rotary + step) }
                bench.backend.write(angles.map { cos($0) }, to: layer.cosines)
                bench.backend.write(angles.map { sin($0) }, to: layer.sines)
                layer.run(on: bench.backend, position: length + step)
                made.append(try draw())
            }
            return made
        }

        @Test(arguments: [WeightFormat.f32, .f16, .q8(group: 32), .q4(group: 64)])
        func recordedStepsDrawWhatOperationsDo(format: WeightFormat) throws {
            for (shape, length, rotary) in [
                (AttentionShape(), 1, 0), (.init(heads: 32, kvHeads: 2, headSize: 16), 37, 30),
                (.init(heads: 2, kvHeads: 2, headSize: 128), 300, 299),
            ] {
                try expectSteps(
                    shape, format, hidden: 72, length: length, rotary: rotary,
                    tolerance: format.type.isQuantized ? Self.codeFlips : Self.rounding)
            }
        }

        /// Heads of 64, as small models have.
        @Test func stepsOfMiddleHeadsDrawWhatOperationsDo() throws {
            for format in [WeightFormat.f32, .f16, .q8(group: 32)] {
                try expectSteps(
                    .init(heads: 4, kvHeads: 2, headSize: 64), format, hidden: 72, length: 200, rotary: 30,
                    // Scores are as much larger as a head is longer.
                    tolerance: format.type.isQuantized ? Self.codeFlips : 4 * Self.rounding)
            }
        }

        /// Codes are made of whole heads, by a dispatch of their own.
        @Test(arguments: [KVType.int8, .int5])
        func stepsOverCodesDrawWhatOperationsDo(type: KVType) throws {
            for (shape, length) in [
                (AttentionShape(type: type), 1), (.init(heads: 32, kvHeads: 2, headSize: 16, type: type), 37),
                (.init(heads: 2, kvHeads: 2, headSize: 128, type: type), 300),
                (.init(heads: 3, kvHeads: 1, headSize: 40, pageTokens: 8, type: type), 70),
            ] {
                try expectSteps(
                    shape, .f32, hidden: 72, length: length, rotary: length, tolerance: Self.keyFlips)
            }
        }

        /// Where a workgroup's shared memory holds little beside the input.
        @Test func stepsOfAWideModelDrawWhatOperationsDo() throws {
            for (hidden, format) in [(6_400, WeightFormat.f16), (7_600, .f16), (10_200, .q8(group: 32))]
                .prefix(exampleCount(3))
            {
                try expectSteps(
                    AttentionShape(), format, hidden: hidden, length: 20, rotary: 20,
                    tolerance: format.type.isQuantized ? Self.codeFlips : 1e-3)
            }
        }

        @Test func stepsThatDoNotFitAreToldBefore() throws {
            let backend = try backend
            func canRecord(headSize: Int, hidden: Int) -> Bool {
                let shape = StepShape(
                    contextLength: 64, pageTokens: 16, vocabularySize: 70, queryHeads: 32, kvHeads: 2,
                    headSize: headSize, frequencies: [1, 0.5])
                let layout = WeightLayout(rows: 36 * headSize, columns: hidden, format: .f16)
                return backend.canRecord(shape, besideAttention: [layout])
            }
            #expect(canRecord(headSize: 128, hidden: 6_400))
            // No device has a mebibyte of shared memory.
            #expect(!canRecord(headSize: 128, hidden: 1 << 18))
            #expect(!canRecord(headSize: 1 << 14, hidden: 64))
        }

        /// Also where dispatches wait for each other by themselves: that changes no bit.
        private func expectSteps(
            _ shape: AttentionShape, _ format: WeightFormat, hidden: Int, length: Int, rotary: Int,
            tolerance: Float
        ) throws {
            let backend = try backend
            // Matrices take queries and softmax weights of 11 bits, which may move a code.
            let tolerance = backend.vectorTuning.attendsByMatrices ? max(4 * tolerance, 2e-3) : tolerance
            let count = Self.runs.reduce(0, +)
            var cpu = try Bench(definition)
            let reference = try Layer(
                &cpu, shape, format, hidden: hidden, pages: shape.pageCount(length + count))
            let expected = try expected(&cpu, reference, length: length, rotary: rotary, count: count)
            let links = backend.chainsSteps
            defer { backend.chainsSteps = links }
            // A device that promises no order of workgroups may keep one all the same.
            let asksForLinks = ProcessInfo.processInfo.environment["THIMBLE_TEST_LINKS"] != nil
            backend.chainsSteps = false
            let logits = try deviceLogits(
                shape, format, hidden: hidden, length: length, rotary: rotary, tolerance: tolerance, expected)
            guard links || asksForLinks else { return }
            backend.chainsSteps = true
            let linkedLogits = try deviceLogits(
                shape, format, hidden: hidden, length: length, rotary: rotary, tolerance: tolerance, expected)
            #expect(linkedLogits == logits, "\(shape): links change what is computed")
            // Workgroups that have not started: a few, and all but one.
            defer { backend.absentGroups = 0 }
            for absent in [3, backend.vectorTuning.residentGroups] {
                backend.absentGroups = absent
                let taken = try deviceLogits(
                    shape, format, hidden: hidden, length: length, rotary: rotary, tolerance: tolerance,
                    expected)
                // By code that is made for no stage, which may round a sum of squares another way.
                for (row, other) in zip(taken, logits) {
                    expectClose(
                        (row, other), width: Layer.vocabulary, tolerance: 2e-6,
                        "\(shape): who does a share changes what is computed")
                }
            }
        }

        /// Tokens of each run of steps.
        private static let runs = [1, 5, 16, 9]

        /// The logits after each run, which are held against what is expected, as are the tokens.
        private func deviceLogits(
            _ shape: AttentionShape, _ format: WeightFormat, hidden: Int, length: Int, rotary: Int,
            tolerance: Float, _ expected: [(token: Int32, logits: [Float])]
        ) throws -> [[Float]] {
            let backend = try backend
            let pages = shape.pageCount(length + Self.runs.reduce(0, +))
            var made: [[Float]] = []
            var bench = try Bench(backend)
            let layer = try Layer(&bench, shape, format, hidden: hidden, pages: pages)
            let state = try backend.makeStepState(
                StepShape(
                    contextLength: pages * shape.pageTokens, pageTokens: shape.pageTokens,
                    kvType: shape.type,
                    vocabularySize: Layer.vocabulary, queryHeads: shape.heads, kvHeads: shape.kvHeads,
                    headSize: shape.headSize, frequencies: layer.frequencies))
            let draw = DrawParameters(
                temperature: 0, topK: 0, topP: 1, minP: 0, repetitionPenalty: 1, frequencyPenalty: 0,
                presencePenalty: 0, seed: 1)
            let table = layer.kv.blockTable
            backend.begin(
                state, length: length, rotaryPosition: rotary,
                pages: table.prefix(shape.pageCount(length + 1)), draw: draw, seen: [], drawn: [])
            backend.draw(from: layer.logits, draw.kind, state)
            let step = try backend.record(state) {
                backend.beginStep(state, table: layer.embedding, into: layer.residual)
                layer.run(on: backend, position: 0)
                backend.draw(from: layer.logits, draw.kind, state)
            }
            var drawn = 1
            for count in Self.runs {
                backend.setPages(table.prefix(shape.pageCount(length + drawn + count)), of: state)
                backend.run(step, count: count)
                drawn += count
                // The logits that the last token was drawn from.
                made.append(try bench.values(layer.logits))
                expectClose(
                    (made[made.count - 1], expected[drawn - 1].logits),
                    width: Layer.vocabulary, tolerance: tolerance, "\(shape) after \(drawn)")
                var tokens: [Int32] = []
                try backend.readTokens(of: state, from: 0, count: drawn) { span in
                    tokens = span.indices.map { span[$0] }
                }
                #expect(tokens == expected.prefix(drawn).map(\.token), "\(shape)")
            }
            #expect(try bench.guardsAreWhole())
            return made
        }
    }
}
