//! What goes into the decoder: token ids with their positions in time, height and width, and where images
//! stand.

/// The position of a token: three numbers that are equal for text and a grid for an image (M-RoPE, as in the
/// reference `Glm4vModel.get_rope_index`).
public struct Position: Equatable, Sendable {
    public var time: Int32
    public var height: Int32
    public var width: Int32

    /// One of the three, in the order that M-RoPE sections take them.
    subscript(_ component: Int) -> Int32 {
        switch component {
        case 0: time
        case 1: height
        default: width
        }
    }
}

/// A growing sequence of inputs.
public struct InputSequence {
    /// An image and where its visual tokens stand.
    public struct ImageSpan {
        /// The index of the first.
        public let start: Int
        public let features: VisualFeatures
        /// The index behind the last.
        public var end: Int { start + features.grid.count }
        /// What tells the image from all others.
        var key: UInt128 { features.image }
    }

    /// One id a position; visual tokens carry the image placeholder's id.
    public private(set) var tokens: [Int32] = []
    private(set) var positions: [Position] = []
    /// The images, in order.
    public private(set) var images: [ImageSpan] = []
    /// Where the next token of text stands.
    private(set) var nextPosition: Int32 = 0

    /// An empty sequence.
    public init() {}

    /// Forgets all inputs; the room for them stays.
    public mutating func removeAll() {
        tokens.removeAll(keepingCapacity: true)
        positions.removeAll(keepingCapacity: true)
        images.removeAll(keepingCapacity: true)
        nextPosition = 0
    }

    /// Makes room for `capacity` positions in all, so that adding them allocates nothing.
    public mutating func reserve(_ capacity: Int) {
        tokens.reserveCapacity(capacity)
        positions.reserveCapacity(capacity)
    }

    /// Positions, those of visual tokens included.
    public var count: Int { tokens.count }
    /// Positions that are visual tokens.
    public var imageTokenCount: Int { images.reduce(0) { $0 + $1.features.grid.count } }

    /// Adds a text token.
    public mutating func append(_ token: Int32) {
        tokens.append(token)
        positions.append(Position(time: nextPosition, height: nextPosition, width: nextPosition))
        nextPosition += 1
    }

    /// Adds an image in place of the placeholder `token`. The text that follows starts after the longer side.
    public mutating func append(_ features: VisualFeatures, token: Int32) {
        images.append(ImageSpan(start: tokens.count, features: features))
        for row in 0..<features.grid.height {
            for column in 0..<features.grid.width {
                tokens.append(token)
                positions.append(
                    Position(
                        time: nextPosition, height: nextPosition + Int32(row),
                        width: nextPosition + Int32(column)))
            }
        }
        nextPosition += Int32(max(features.grid.height, features.grid.width))
    }
}

extension InputSequence {
    /// How many leading positions are the same in both: the same tokens, and the same images in the same
    /// places. Images are the same where they have one number.
    public func commonPrefixLength(with other: InputSequence) -> Int {
        var length = zip(tokens, other.tokens).prefix { $0 == $1 }.count
        for (mine, theirs) in zip(images, other.images) {
            let isSame = mine.start == theirs.start && mine.features.image == theirs.features.image
            if !isSame { length = min(length, mine.start, theirs.start) }
        }
        for image in images.dropFirst(other.images.count) { length = min(length, image.start) }
        for image in other.images.dropFirst(images.count) { length = min(length, image.start) }
        return length
    }
}
