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
    /// How many memories are made before one is refused; nil refuses none.
    var refusal: Int?
    var liveBytes: Int { made.reduce(0) { $0 + ($1.memory?.byteCount ?? 0) } }
    var madeCount: Int { made.count }

    func makeMemory(
        byteCount: Int, label: String, use: MemoryUse
    ) throws(BackendError) -> any BackendMemory {
        if let refusal {
            guard refusal > 0 else { throw BackendError(.outOfMemory, "no memory for \(label)") }
            self.refusal = refusal - 1
        }
        let memory = try cpu.makeMemory(byteCount: byteCount, label: label)
        made.append(Weak(memory: memory))
        return memory
    }

    func fill<E: Error>(
        _ memory: any BackendMemory, _ bytes: Range<Int>,
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) { try unsafe cpu.fill(memory, bytes, body) }
    func scratchByteCount(of operation: OperationShape) -> Int { cpu.scratchByteCount(of: operation) }
    func useScratch(_ memory: any BackendMemory, bytes: Range<Int>) { cpu.useScratch(memory, bytes: bytes) }
    func read(_ activation: Activation, _ body: (UnsafeBufferPointer<Float>) -> Void) throws(BackendError) {
        try unsafe cpu.read(activation, body)
    }
    func read(
        _ memory: any BackendMemory, _ runs: [Range<Int>], _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(BackendError) { try unsafe cpu.read(memory, runs, body) }
    func synchronize() throws(BackendError) { try cpu.synchronize() }
    func secondsToRead(_ memories: [any BackendMemory]) throws(BackendError) -> Double? { nil }
    func secondsToCopy(byteCount: Int) throws(BackendError) -> Double? { nil }
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
    func attention(
        queries: Activation, kv: PagedKV, within ranges: RowRanges, scale: Float, into y: Activation
    ) { cpu.attention(queries: queries, kv: kv, within: ranges, scale: scale, into: y) }
    func rmsNorm(_ x: Activation, weight: Vector, epsilon: Float, into y: Activation) {
        cpu.rmsNorm(x, weight: weight, epsilon: epsilon, into: y)
    }
    func layerNormGELU(_ x: Activation, weight: Vector, bias: Vector, epsilon: Float, into y: Activation) {
        cpu.layerNormGELU(x, weight: weight, bias: bias, epsilon: epsilon, into: y)
    }
    func addGathered(_ gather: WeightedGather, over cut: PatchCut, table: Vector, to y: Activation) {
        cpu.addGathered(gather, over: cut, table: table, to: y)
    }
    func spread(_ sides: Activation, over cut: PatchCut, into y: Activation) {
        cpu.spread(sides, over: cut, into: y)
    }
    func copy(_ x: Activation, to y: Activation) { cpu.copy(x, to: y) }
}

@Test func imagesTakeNoMemory() throws {
    let backend = CountingBackend()
    let tiny = try TinyModel("two-images-head128", on: backend)
    let made = backend.madeCount
    let sizes = [(112, 112), (280, 84), (56, 336), (112, 112)]
    let all = try sizes.map { try tiny.image(width: $0.0, height: $0.1) }
    #expect(backend.madeCount == made)
    #expect(
        all.map(\.grid) == [
            .init(height: 4, width: 4), .init(height: 3, width: 10), .init(height: 12, width: 2),
            .init(height: 4, width: 4),
        ])
    #expect(tiny.features.count == 86)
    tiny.features.remove(all[1])
    _ = try tiny.image(width: 112, height: 112)
    #expect(tiny.features.count == 72)
}

@Test func imagesThatDoNotFitAreRefusedAndChangeNothing() throws {
    let tiny = try TinyModel("two-images-head128", tokenCapacity: 40)
    func expectFull(needed: Int, capacity: Int, _ size: (Int, Int)) {
        let error = #expect(throws: ModelError.self) { try tiny.image(width: size.0, height: size.1) }
        if case .contextFull(needed, capacity) = error {} else { Issue.record("\(size)") }
    }
    // More visual tokens than the context has positions, then more than are left.
    expectFull(needed: 100, capacity: 40, (280, 280))
    _ = try tiny.image(width: 140, height: 140)
    expectFull(needed: 50, capacity: 40, (140, 140))
    #expect(tiny.features.count == 25)
}

@Test func aStoppedEncodingLeavesNothing() throws {
    let tiny = try TinyModel("two-images-head128")
    let depth = try #require(tiny.model.configuration.vision?.depth)
    var batch = tiny.model.makeBatch()
    for seed in 1...2 { try tiny.append(to: &batch, width: 56, height: 56 * seed, seed: seed) }
    var asked = 0
    let isMade = try tiny.model.encode(batch, into: tiny.features) {
        asked += 1
        return asked == depth
    }
    // Once for each block, whatever the images.
    #expect(!isMade && asked == depth && tiny.features.count == 0)
}

@Test func anImageIsEncodedTheSameWhateverCameBefore() throws {
    let tiny = try TinyModel("two-images-head128")
    func values(_ width: Int, _ height: Int) throws -> [Float] {
        try tiny.model.backend.values(of: tiny.image(width: width, height: height).values)
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
    _ = try TinyModel("two-images-head128", on: backend)
    let made = backend.madeCount
    #expect(made > 4)
    // The arena that was lent last, whose scratch it is.
    let lent = backend.liveBytes
    for refused in 0..<made {
        backend.refusal = refused
        let error = #expect(throws: (any Error).self) { try TinyModel("two-images-head128", on: backend) }
        let fault: BackendError? =
            if case .backend(let fault)? = error as? ModelError { fault } else { error as? BackendError }
        #expect(fault?.code == .outOfMemory, "memory \(refused)")
        #expect(backend.liveBytes == lent)
    }
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
