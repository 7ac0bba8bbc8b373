//! Holds the positions of text and images (M-RoPE), and what two sequences have in common.

import CPUBackend
import Tensors
import Testing

@testable import Models

/// Images of which only the number and the shape count.
private struct Images {
    private let store: VisualFeatureStore
    private var count: UInt128 = 0

    init() throws {
        store = try VisualFeatureStore(columns: 8, capacity: 1, on: CPUBackend(threadCount: 1))
    }

    /// Another image.
    mutating func next(_ height: Int, _ width: Int) -> VisualFeatures {
        count += 1
        return again(height, width)
    }

    /// The same image once more.
    func again(_ height: Int, _ width: Int) -> VisualFeatures {
        VisualFeatures(of: count, grid: ImageGrid(height: height, width: width), in: store)
    }
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
    var images = try Images()
    let inputs = sequence([.text([1, 2]), .image(images.next(2, 3)), .text([3, 4])])
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
    var images = try Images()
    let inputs = sequence([.image(images.next(3, 1)), .image(images.next(1, 2)), .text([7])])
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
    var images = try Images()
    let (a, b, c) = (images.next(2, 2), images.next(2, 2), images.next(1, 4))
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
    // Another conversation's image of the same number is the same.
    let again = images.again(1, 4)
    #expect(sequence([.image(c)]).commonPrefixLength(with: sequence([.image(again)])) == 4)
}
