//! Holds the positions of text and images (M-RoPE), and what two sequences have in common.

import CPUBackend
import Tensors
import Testing

@testable import Models

private func features(_ height: Int, _ width: Int) throws -> VisualFeatures {
    let memory = try CPUBackend(threadCount: 1).makeMemory(
        byteCount: height * width * 8 * 4, label: "features")
    return VisualFeatures(
        values: Activation(memory, rows: height * width, columns: 8),
        grid: ImageGrid(height: height, width: width))
}

private func sequence(_ parts: [Part]) -> InputSequence {
    var inputs = InputSequence()
    for part in parts {
        switch part {
        case .text(let tokens): for token in tokens { inputs.append(token) }
        case .image(let features): inputs.append(features, token: 99)
        }
    }
    return inputs
}

private enum Part {
    case text([Int32])
    case image(VisualFeatures)
}

@Test func textAfterAnImageContinuesBehindItsLongerSide() throws {
    // The reference's get_rope_index: an image starts where text would, and spans its grid.
    let inputs = sequence([.text([1, 2]), .image(try features(2, 3)), .text([3, 4])])
    let expected: [(Int32, Int32, Int32)] = [
        (0, 0, 0), (1, 1, 1),
        (2, 2, 2), (2, 2, 3), (2, 2, 4), (2, 3, 2), (2, 3, 3), (2, 3, 4),
        (5, 5, 5), (6, 6, 6),
    ]
    #expect(inputs.positions == expected.map { Position(time: $0.0, height: $0.1, width: $0.2) })
    #expect(inputs.tokens == [1, 2, 99, 99, 99, 99, 99, 99, 3, 4])
    #expect(inputs.imageTokenCount == 6)
}

@Test func imagesNextToEachOtherDoNotOverlap() throws {
    let inputs = sequence([.image(try features(3, 1)), .image(try features(1, 2)), .text([7])])
    #expect(inputs.positions.map(\.time) == [0, 0, 0, 3, 3, 5])
    #expect(inputs.positions.map(\.height) == [0, 1, 2, 3, 3, 5])
    #expect(inputs.positions.map(\.width) == [0, 0, 0, 3, 4, 5])
}

@Test func commonPrefixEndsAtTheFirstTokenThatDiffers() {
    let one = sequence([.text([1, 2, 3])])
    #expect(one.commonPrefixLength(with: sequence([.text([1, 2, 3, 4])])) == 3)
    #expect(one.commonPrefixLength(with: sequence([.text([1, 5, 3])])) == 1)
    #expect(one.commonPrefixLength(with: InputSequence()) == 0)
}

@Test func commonPrefixEndsAtTheFirstImageThatDiffers() throws {
    let (a, b, c) = (try features(2, 2), try features(2, 2), try features(1, 4))
    let one = sequence([.text([1]), .image(a), .text([2]), .image(b), .text([3])])
    func common(_ parts: [Part]) -> Int {
        let other = sequence(parts)
        let length = one.commonPrefixLength(with: other)
        #expect(other.commonPrefixLength(with: one) == length)
        return length
    }
    #expect(common([.text([1]), .image(a), .text([2]), .image(b), .text([3])]) == 11)
    #expect(common([.text([1]), .image(a), .text([2]), .image(a), .text([3])]) == 6)
    // As many visual tokens in another shape are another image.
    #expect(common([.text([1]), .image(c), .text([2]), .image(b)]) == 1)
    // The placeholder's id as a token of text is no image.
    #expect(common([.text([1, 99, 99, 99, 99, 2])]) == 1)
    #expect(common([.text([1]), .image(a), .text([2])]) == 6)
}
