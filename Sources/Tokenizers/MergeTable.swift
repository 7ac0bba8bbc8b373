//! The merges of a tokenizer, found by the pair of tokens that they join.

/// Two tokens that stand next to each other.
struct TokenPair: Hashable {
    var left: Int32
    var right: Int32
}

/// What a pair of tokens becomes.
struct Merge {
    let pair: TokenPair
    /// The token whose bytes are those of the pair.
    let result: Int32
}

/// The merges, in order of rank, and a hash table from pairs to ranks.
struct MergeTable {
    /// The merge of each rank; lower ranks are merged first.
    let merges: [Merge]
    /// Ranks, or -1 where free. The count is a power of two, at least twice the number of merges.
    private var slots: [Int32]
    /// Random and odd, so that a hostile file cannot know which pairs share a slot.
    private let multiplier: UInt64
    /// Keeps as many high bits of a product as a slot number has.
    private let shift: UInt64

    /// A table of `pairs` in order of rank. Of a pair that stands twice the later rank holds, as in the
    /// `tokenizers` package.
    init(
        _ pairs: [TokenPair], _ vocabulary: Vocabulary, _ index: TokenIndex
    ) throws(TokenizerError) {
        var merges: [Merge] = []
        merges.reserveCapacity(pairs.count)
        let ids = 0..<Int32(vocabulary.count)
        var joined: [UInt8] = []
        for (rank, pair) in pairs.enumerated() {
            guard ids.contains(pair.left), ids.contains(pair.right) else {
                throw TokenizerError(
                    "Merge \(rank) joins tokens \(pair.left) and \(pair.right) of \(ids.count).")
            }
            let left = vocabulary[pair.left]
            let right = vocabulary[pair.right]
            joined.removeAll(keepingCapacity: true)
            joined.append(contentsOf: left)
            joined.append(contentsOf: right)
            guard !left.isEmpty, !right.isEmpty, let result = index.token(joined[...], vocabulary) else {
                throw TokenizerError(
                    "Merge \(rank) joins tokens \(pair.left) and \(pair.right), but no token has their bytes."
                )
            }
            merges.append(Merge(pair: pair, result: result))
        }
        let slotCount = powerOfTwo(atLeast: 2 * merges.count + 2)
        self.merges = merges
        slots = Array(repeating: -1, count: slotCount)
        multiplier = UInt64.random(in: .min ... .max) | 1
        shift = UInt64(64 - slotCount.trailingZeroBitCount)
        for rank in merges.indices { slots[slot(of: merges[rank].pair)] = Int32(rank) }
    }

    /// The rank of the merge of `pair`, or nil where it does not merge.
    @inline(__always)
    func rank(of pair: TokenPair) -> Int32? {
        let rank = slots[slot(of: pair)]
        return rank < 0 ? nil : rank
    }

    /// The slot that holds the rank of `pair`, or the free one where it belongs.
    @inline(__always)
    private func slot(of pair: TokenPair) -> Int {
        let key = UInt64(UInt32(bitPattern: pair.left)) << 32 | UInt64(UInt32(bitPattern: pair.right))
        var slot = Int((key &* multiplier) >> shift)
        while slots[slot] >= 0, merges[Int(slots[slot])].pair != pair {
            slot = (slot + 1) & (slots.count - 1)
        }
        return slot
    }
}
