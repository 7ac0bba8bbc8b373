//! The bytes of each token, and the way back from bytes to the token.

/// The bytes of tokens 0, 1, 2, ..., in one array. An id that stands for no token has no bytes.
struct Vocabulary {
    /// The bytes of all tokens, one after the other.
    private(set) var bytes: [UInt8] = []
    /// Where each token's bytes start, and where the last one's end.
    private(set) var starts: [UInt32] = [0]

    var count: Int { starts.count - 1 }

    init() {}

    init(bytes: [UInt8], starts: [UInt32]) {
        precondition(starts.first == 0 && starts.last.map(Int.init) == bytes.count)
        self.bytes = bytes
        self.starts = starts
    }

    /// Adds the token that follows on the last one. The caller keeps to both limits.
    mutating func append(_ token: some Collection<UInt8>) {
        bytes.append(contentsOf: token)
        starts.append(UInt32(bytes.count))
    }

    func range(of id: Int32) -> Range<Int> {
        Int(starts[Int(id)])..<Int(starts[Int(id) + 1])
    }

    subscript(id: Int32) -> ArraySlice<UInt8> { bytes[range(of: id)] }
}

/// Finds the ordinary token of a sequence of bytes: a hash table with open addressing.
///
/// Strings would not do as keys, for most tokens are not text and Swift takes canonically equivalent strings
/// for equal. `Hasher` is seeded at random, so that a hostile vocabulary cannot make look-ups slow.
struct TokenIndex {
    /// Ids, or -1 where free. The count is a power of two, at least twice the number of tokens.
    private var slots: [Int32]

    /// An index of the tokens that are not added and not empty, which must all differ.
    init(_ vocabulary: Vocabulary, excluding added: [AddedToken]) throws(TokenizerError) {
        slots = Array(repeating: -1, count: powerOfTwo(atLeast: 2 * vocabulary.count + 2))
        let excluded = Set(added.map(\.id))
        for id in 0..<Int32(vocabulary.count) where !excluded.contains(id) {
            let token = vocabulary[id]
            if token.isEmpty { continue }
            let slot = slot(of: token, vocabulary)
            guard slots[slot] < 0 else {
                throw TokenizerError("Tokens \(slots[slot]) and \(id) have the same bytes.")
            }
            slots[slot] = id
        }
    }

    /// The token of `bytes`, or nil where there is none.
    func token(_ bytes: ArraySlice<UInt8>, _ vocabulary: Vocabulary) -> Int32? {
        let id = slots[slot(of: bytes, vocabulary)]
        return id < 0 ? nil : id
    }

    /// The slot that holds the token of `bytes`, or the free one where it belongs.
    private func slot(of bytes: ArraySlice<UInt8>, _ vocabulary: Vocabulary) -> Int {
        var hasher = Hasher()
        unsafe bytes.withUnsafeBytes { unsafe hasher.combine(bytes: $0) }
        var slot = hasher.finalize() & (slots.count - 1)
        while slots[slot] >= 0, vocabulary[slots[slot]] != bytes { slot = (slot + 1) & (slots.count - 1) }
        return slot
    }
}

/// The least power of two that is not less than `count`, which must be positive.
func powerOfTwo(atLeast count: Int) -> Int {
    1 << (Int.bitWidth - (count - 1).leadingZeroBitCount)
}
