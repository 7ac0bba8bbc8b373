//! Holds the whole path, from a checkpoint folder to logits, against the reference framework's numbers.
//!
//! A failure here means that some operation, position, weight or pixel differs from the reference: look at
//! the simplest case that fails first.

import Documents
import Foundation
import TestSupport
import Testing
import Thimble

private func logits(
    of reference: ReferenceCase, weights: WeightChoice, on device: ModelDevice = .cpu, threads: Int = 2
) throws -> (values: [Float], positions: Int) {
    let folder = try TemporaryDirectory()
    var options = ConversionOptions()
    options.weights = weights
    let path = folder.path("model.thimble")
    _ = try convert(.folder(reference.folder.path), to: path, options)
    let engine = try device.engine(path, threads: threads)
    var images: [RGBImage] = []
    for url in try reference.images() { images.append(try loadImage(path: url.path)) }
    var values: [Float] = []
    let tokens = try reference.tokens().map { Int32($0) }
    let positions = try unsafe engine.logits(of: tokens, images: images) { rows in
        unsafe values.append(contentsOf: rows)
    }
    return (values, positions)
}

private func expectReferenceLogits(_ reference: ReferenceCase, on device: ModelDevice) throws {
    let expected = try reference.logits()
    let (values, positions) = try logits(of: reference, weights: .f16, on: device)
    #expect(positions == (try reference.summary().positions))
    let agreement = LogitsAgreement(
        values, from: expected.floats(), vocabulary: expected.shape[1], nearTie: 0.02)
    #expect(agreement.meanDivergence < 1e-4, "\(agreement)")
    #expect(agreement.disagreements.isEmpty, "\(agreement)")
}

/// 8-bit weights with 8-bit activations move the logits a little, never far.
private func expectNearReferenceLogits(_ reference: ReferenceCase, on device: ModelDevice) throws {
    let expected = try reference.logits()
    let (values, _) = try logits(of: reference, weights: .q8, on: device)
    let agreement = LogitsAgreement(values, from: expected.floats(), vocabulary: expected.shape[1])
    #expect(agreement.meanDivergence < 0.02, "\(agreement)")
}

@Test(arguments: ReferenceCase.all)
func logitsAtFloat16EqualTheReference(reference: ReferenceCase) throws {
    try expectReferenceLogits(reference, on: .cpu)
}

@Test(arguments: ReferenceCase.all)
func logitsAtEightBitsStayNearTheReference(reference: ReferenceCase) throws {
    try expectNearReferenceLogits(reference, on: .cpu)
}

extension VulkanModelTests {
    @Test(arguments: ReferenceCase.examples)
    static func logitsAtFloat16EqualTheReference(reference: ReferenceCase) throws {
        try expectReferenceLogits(reference, on: device)
    }

    @Test(arguments: ReferenceCase.examples)
    static func logitsAtEightBitsStayNearTheReference(reference: ReferenceCase) throws {
        try expectNearReferenceLogits(reference, on: device)
    }
}

@Test func oneThreadAndSeveralGiveTheSameLogits() throws {
    let reference = ReferenceCase(name: "one-image")
    let one = try logits(of: reference, weights: .q4, threads: 1).values
    #expect(one == (try logits(of: reference, weights: .q4, threads: 3).values))
}
