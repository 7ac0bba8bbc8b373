//! Every limit on a JSON text, in one place.

/// What a JSON text may ask for, checked before memory is taken for it: a value takes more memory than its
/// text, so a text's length alone is no bound. Who reads a text may ask for less.
package struct JSONLimits: Sendable {
    /// Values within values, each of which is a call within a call.
    package static let maximumDepth = 64
    /// Values of one text. A tokenizer of a million merges has about four million.
    package static let maximumValueCount = 1 << 23

    /// What a key that an object states twice is.
    package enum DuplicateKeys: Sendable {
        /// A fault.
        case refused
        /// One of which the first value counts.
        case ignored
    }

    var depth: Int
    var valueCount: Int
    var duplicateKeys: DuplicateKeys

    package init(
        depth: Int = Self.maximumDepth, valueCount: Int = Self.maximumValueCount,
        duplicateKeys: DuplicateKeys = .ignored
    ) {
        self.depth = depth
        self.valueCount = valueCount
        self.duplicateKeys = duplicateKeys
    }
}
