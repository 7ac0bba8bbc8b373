//! Holds what the decoder promises however its inputs come: whole, in pieces, cancelled in between, or again.

import CPUBackend
import ModelFile
import TestSupport
import Tensors
import Testing

@testable import Models

/// Whether two rows of logits are the same but for the order of sums.
private func areClose(_ a: [Float], _ b: [Float], within tolerance: Float = 2e-3) -> Bool {
    a.count == b.count && zip(a, b).allSatisfy { abs($0 - $1) <= tolerance }
}

/// Text, an image, text, a second image of another size, text.
private func pictureBook(_ tiny: TinyModel, before: Int) throws -> InputSequence {
    var inputs = InputSequence()
    for token in textTokens(before) { inputs.append(token) }
    inputs.append(try tiny.image(width: 168, height: 140), token: 156)
    for token in textTokens(5, seed: 2) { inputs.append(token) }
    inputs.append(try tiny.image(width: 56, height: 112, seed: 2), token: 156)
    for token in textTokens(7, seed: 3) { inputs.append(token) }
    return inputs
}

/// The first `count` positions of inputs that begin with text alone.
private func textPrefix(of inputs: InputSequence, _ count: Int) -> InputSequence {
    var prefix = InputSequence()
    for token in inputs.tokens.prefix(count) { prefix.append(token) }
    return prefix
}

@Test func decodingTokenByTokenEqualsPrefill() throws {
    let tiny = try TinyModel("two-images-head128")
    let inputs = try pictureBook(tiny, before: 20)
    let whole = try tiny.forward(inputs, tiny.makeSequence(), .all)
    let vocabulary = tiny.model.configuration.text.vocabularySize
    let sequence = tiny.makeSequence()
    var grown = textPrefix(of: inputs, 20)
    let start = try tiny.forward(grown, sequence)
    #expect(areClose(start, Array(whole[19 * vocabulary..<20 * vocabulary])))
    grown = inputs
    var last = try tiny.forward(grown, sequence)
    #expect(areClose(last, Array(whole.suffix(vocabulary))))
    let tail = textTokens(20, seed: 9)
    for token in tail {
        grown.append(token)
        last = try tiny.forward(grown, sequence)
    }
    let again = try tiny.forward(grown, tiny.makeSequence())
    #expect(areClose(last, again))
}

/// A pass takes 512 positions at a time: here the first chunk ends inside the first image, or, from other
/// starts, before and behind it.
@Test(arguments: [480, 495, 511, 512, 513])
func aChunkMayEndInsideAnImage(textBefore: Int) throws {
    let tiny = try TinyModel("two-images-head128")
    let inputs = try pictureBook(tiny, before: textBefore)
    let whole = try tiny.forward(inputs, tiny.makeSequence())
    // Begun with 300 positions of text, no chunk ends where one did before.
    let sequence = tiny.makeSequence()
    _ = try tiny.forward(textPrefix(of: inputs, 300), sequence)
    let pieces = try tiny.forward(inputs, sequence)
    #expect(areClose(whole, pieces))
}

@Test func aCancelledPassKeepsItsChunksAndIsContinued() throws {
    let tiny = try TinyModel("two-images-head128")
    let inputs = try pictureBook(tiny, before: 1100)
    let whole = try tiny.forward(inputs, tiny.makeSequence())
    let sequence = tiny.makeSequence()
    let free = tiny.pool.freePageCount
    // Asked before each layer: it stops within the third chunk.
    let layers = tiny.model.configuration.text.layerCount
    var asked = 0
    try unsafe tiny.model.forward(inputs, into: sequence, logits: .last) {
        asked += 1
        return asked > 3 * layers - 1
    } receive: { _ in
        Issue.record("a cancelled pass has no logits")
    }
    #expect(sequence.length == 1024)
    // Only the pages of what is computed are held.
    #expect(free - tiny.pool.freePageCount == 64)
    #expect(areClose(whole, try tiny.forward(inputs, sequence)))
}

@Test func aTruncatedSequenceForgetsWhatFollowed() throws {
    let tiny = try TinyModel("two-images-head128")
    let sequence = tiny.makeSequence()
    let first = try pictureBook(tiny, before: 40)
    _ = try tiny.forward(first, sequence)
    var second = textPrefix(of: first, 40)
    for token in textTokens(30, seed: 5) { second.append(token) }
    let common = first.commonPrefixLength(with: second)
    #expect(common == 40)
    sequence.truncate(to: common)
    #expect(areClose(try tiny.forward(second, sequence), try tiny.forward(second, tiny.makeSequence())))
}

@Test func sequencesOfOnePoolDoNotDisturbEachOther() throws {
    let tiny = try TinyModel("text-head64")
    let (one, two) = (tiny.makeSequence(), tiny.makeSequence())
    var (first, second) = (InputSequence(), InputSequence())
    var last: [Float] = []
    for (a, b) in zip(textTokens(40, seed: 1), textTokens(40, seed: 2)) {
        first.append(a)
        second.append(b)
        last = try tiny.forward(first, one)
        _ = try tiny.forward(second, two)
    }
    #expect(areClose(last, try tiny.forward(first, tiny.makeSequence())))
}

@Test func faultsOfTheInputsChangeNothing() throws {
    let tiny = try TinyModel("text-head64", tokenCapacity: 32)
    let sequence = tiny.makeSequence()
    var inputs = InputSequence()
    for token in textTokens(10) { inputs.append(token) }
    _ = try tiny.forward(inputs, sequence)
    let free = tiny.pool.freePageCount
    for token: Int32 in [-1, 160, .max] {
        var bad = inputs
        bad.append(token)
        let error = #expect(throws: ModelError.self) { try tiny.forward(bad, sequence) }
        guard case .tokenOutOfRange(Int(token), 160) = error else { Issue.record("token \(token)"); continue }
    }
    var long = inputs
    for token in textTokens(23) { long.append(token) }
    let error = #expect(throws: ModelError.self) { try tiny.forward(long, sequence) }
    if case .contextFull(needed: 33, capacity: 32) = error {} else { Issue.record("33 tokens in 32") }
    #expect(sequence.length == 10 && tiny.pool.freePageCount == free)
}
