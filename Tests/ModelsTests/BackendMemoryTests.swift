//! Holds what memory lives when: the vision tower's goes with the call, and decoding takes none.

import CPUBackend
import ModelFile
import TestSupport
import Tensors
import Testing

@testable import Models

/// The CPU, with an account of the memory it has made, and a limit.
private final class CountingBackend: Backend {
    private struct Weak {
        weak var memory: (any BackendMemory)?
    }

    private let cpu = CPUBackend(threadCount: 2)
    private var made: [Weak] = []
    /// Memories of at least this many bytes are refused.
    var limit = Int.max
    var liveBytes: Int { made.reduce(0) { $0 + ($1.memory?.byteCount ?? 0) } }
    var madeCount: Int { made.count }

    func makeMemory(byteCount: Int, label: String) throws(BackendError) -> any BackendMemory {
        guard byteCount < limit else { throw BackendError(.outOfMemory, "no memory for \(label)") }
        let memory = try cpu.makeMemory(byteCount: byteCount, label: label)
        made.append(Weak(memory: memory))
        return memory
    }

    func fill<E: Error>(
        _ memory: any BackendMemory, _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) { try unsafe cpu.fill(memory, body) }
    func write(_ values: UnsafeBufferPointer<Float>, to activation: Activation) {
        unsafe cpu.write(values, to: activation)
    }
    func read(_ activation: Activation, into values: UnsafeMutableBufferPointer<Float>) {
        unsafe cpu.read(activation, into: values)
    }
    func synchronize() throws(BackendError) { try cpu.synchronize() }
    func cutPatches(_ pixels: Span<UInt8>, _ cut: PatchCut, into patches: Activation) {
        cpu.cutPatches(pixels, cut, into: patches)
    }
    func embed(_ tokens: Span<Int32>, table: Matrix, into y: Activation) {
        cpu.embed(tokens, table: table, into: y)
    }
    func project(_ input: Prologue, _ weight: Matrix, _ output: Epilogue) {
        cpu.project(input, weight, output)
    }
    func attention(
        queries: Activation, kv: PagedKV, start: Int, length: Int, isCausal: Bool, scale: Float,
        into y: Activation
    ) {
        cpu.attention(
            queries: queries, kv: kv, start: start, length: length, isCausal: isCausal, scale: scale, into: y)
    }
    func rmsNorm(_ x: Activation, weight: Vector, epsilon: Float, into y: Activation) {
        cpu.rmsNorm(x, weight: weight, epsilon: epsilon, into: y)
    }
    func layerNormGELU(_ x: Activation, weight: Vector, bias: Vector, epsilon: Float, into y: Activation) {
        cpu.layerNormGELU(x, weight: weight, bias: bias, epsilon: epsilon, into: y)
    }
    func addGathered(_ gather: WeightedGather, table: Vector, to y: Activation) {
        cpu.addGathered(gather, table: table, to: y)
    }
    func copy(_ x: Activation, to y: Activation) { cpu.copy(x, to: y) }
}

@Test func theTowersMemoryGoesWhenAnImageIsEncoded() throws {
    let backend = CountingBackend()
    let tiny = try TinyModel("two-images-head128", on: backend)
    let before = backend.liveBytes
    let sizes = [(112, 112), (280, 84), (56, 336), (112, 112)]
    var all: [VisualFeatures] = []
    for (width, height) in sizes { all.append(try tiny.image(width: width, height: height)) }
    let kept = all.reduce(0) { $0 + $1.grid.count * tiny.model.configuration.text.hiddenSize * 4 }
    #expect(backend.liveBytes - before == kept)
    #expect(
        all.map(\.grid) == [
            .init(height: 4, width: 4), .init(height: 3, width: 10), .init(height: 12, width: 2),
            .init(height: 4, width: 4),
        ])
    all = []
    #expect(backend.liveBytes == before)
}

@Test func anImageIsEncodedTheSameWhateverCameBefore() throws {
    let tiny = try TinyModel("two-images-head128")
    func values(_ width: Int, _ height: Int) throws -> [Float] {
        let features = try tiny.image(width: width, height: height).values
        var values = [Float](repeating: 0, count: features.rows * features.columns)
        unsafe values.withUnsafeMutableBufferPointer { unsafe tiny.model.backend.read(features, into: $0) }
        return values
    }
    let first = try values(112, 140)
    _ = try values(336, 280)
    _ = try values(56, 56)
    #expect(try values(112, 140) == first)
    #expect(Set(first).count > first.count / 2)
}

@Test func decodingTakesNoMemory() throws {
    let backend = CountingBackend()
    let tiny = try TinyModel("text-head64", on: backend)
    let made = backend.madeCount
    let sequence = tiny.makeSequence()
    var inputs = InputSequence()
    for token in textTokens(100) {
        inputs.append(token)
        _ = try tiny.forward(inputs, sequence)
    }
    #expect(backend.madeCount == made)
}

@Test func memoryThatIsRefusedIsAnErrorWhereverItIsAskedFor() throws {
    let backend = CountingBackend()
    let tiny = try TinyModel("two-images-head128", on: backend)
    let before = backend.liveBytes
    for limit in [1, 4096, 20_000, 60_000] {
        backend.limit = limit
        let error = #expect(throws: ModelError.self) { try tiny.image(width: 280, height: 280) }
        if case .backend(let fault) = error {
            #expect(fault.code == .outOfMemory)
        } else {
            Issue.record("\(limit)")
        }
        #expect(backend.liveBytes == before)
    }
    #expect(throws: ModelError.self) { try TinyModel("text-head64", on: backend) }
}

@Test func aPoolThatNoMachineCouldHoldIsRefused() {
    let backend = CPUBackend(threadCount: 1)
    for (layers, heads, size, tokens) in [
        (1 << 20, 1 << 20, 1 << 20, 1 << 20), (1024, 1024, 256, 1 << 24), (1, 1, 8, Int.max),
    ] {
        let error = #expect(throws: BackendError.self) {
            try KVPool(layerCount: layers, kvHeads: heads, headSize: size, tokenCapacity: tokens, on: backend)
        }
        #expect(error?.code == .outOfMemory && error?.message.contains("\(tokens) tokens") == true)
    }
}
