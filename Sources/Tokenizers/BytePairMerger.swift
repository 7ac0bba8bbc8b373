//! Byte-pair merging of one word, in time O(n log n).

/// Merges words into tokens. Its buffers serve one word after the other.
///
/// The pair of lowest rank is merged first, and of equal ranks the leftmost. The tokens of the word are a
/// doubly linked list over the positions of its bytes. Pairs wait as entries `rank << 32 | position`: in a
/// sorted run, and those that merges bring up in a heap beside it, which becomes the next run when the run is
/// used up. A long run of one character so goes through in a few passes in order, without the heap's jumps
/// through memory. An entry that a merge has made untrue is recognised when it comes up, for its rank tells
/// which pair it was for.
struct BytePairMerger {
    /// The token that starts at each byte, or -1 inside a token.
    private var tokens: [Int32] = []
    /// Where the token that follows starts; the count of bytes after the last one.
    private var next: [UInt32] = []
    /// Where the token before starts.
    private var previous: [UInt32] = []
    /// Entries in rising order.
    private var run: [UInt64] = []
    /// How many of the run are used up.
    private var taken = 0
    /// A binary heap of entries, the least on top.
    private var heap: [UInt64] = []

    /// Appends the tokens of `bytes[word]` to `ids`.
    mutating func merge(
        _ bytes: Span<UInt8>, _ word: Range<Int>, _ tokenizer: Tokenizer, into ids: inout [Int32]
    ) {
        load(bytes, word, tokenizer)
        while let entry = popLeast() {
            apply(tokenizer.merges.merges[Int(entry >> 32)], at: Int(entry & 0xFFFF_FFFF), tokenizer)
        }
        for token in tokens where token >= 0 { ids.append(token) }
    }

    /// Makes each byte a token and every pair that merges an entry of the run.
    private mutating func load(_ bytes: Span<UInt8>, _ word: Range<Int>, _ tokenizer: Tokenizer) {
        tokens.removeAll(keepingCapacity: true)
        next.removeAll(keepingCapacity: true)
        previous.removeAll(keepingCapacity: true)
        run.removeAll(keepingCapacity: true)
        taken = 0
        for position in 0..<word.count {
            tokens.append(tokenizer.byteTokens[Int(bytes[word.lowerBound + position])])
            next.append(UInt32(position + 1))
            previous.append(UInt32(max(position - 1, 0)))
        }
        for position in 0..<max(word.count - 1, 0) {
            if let entry = entry(at: position, tokenizer) { run.append(entry) }
        }
        run.sort()
    }

    /// Replaces the pair at `position` by the result of `merge`, unless the pair is no longer there.
    private mutating func apply(_ merge: Merge, at position: Int, _ tokenizer: Tokenizer) {
        let right = Int(next[position])
        guard right < tokens.count, tokens[position] == merge.pair.left, tokens[right] == merge.pair.right
        else { return }
        tokens[position] = merge.result
        tokens[right] = -1
        next[position] = next[right]
        let following = Int(next[right])
        if following < tokens.count {
            previous[following] = UInt32(position)
            if let entry = entry(at: position, tokenizer) { push(entry) }
        }
        if position > 0, let entry = entry(at: Int(previous[position]), tokenizer) { push(entry) }
    }

    /// The entry for the token at `position`, which another follows, or nil where the two do not merge.
    private func entry(at position: Int, _ tokenizer: Tokenizer) -> UInt64? {
        let pair = TokenPair(left: tokens[position], right: tokens[Int(next[position])])
        guard let rank = tokenizer.merges.rank(of: pair) else { return nil }
        return UInt64(UInt32(rank)) << 32 | UInt64(position)
    }

    private mutating func push(_ entry: UInt64) {
        heap.append(entry)
        var position = heap.count - 1
        while position > 0 {
            let parent = (position - 1) / 2
            guard heap[position] < heap[parent] else { return }
            heap.swapAt(position, parent)
            position = parent
        }
    }

    private mutating func popLeast() -> UInt64? {
        if taken == run.count {
            guard !heap.isEmpty else { return nil }
            swap(&run, &heap)
            heap.removeAll(keepingCapacity: true)
            run.sort()
            taken = 0
        }
        if let least = heap.first, least < run[taken] {
            removeTop()
            return least
        }
        taken += 1
        return run[taken - 1]
    }

    private mutating func removeTop() {
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown()
        }
    }

    private mutating func siftDown() {
        var position = 0
        while true {
            var child = 2 * position + 1
            guard child < heap.count else { return }
            if child + 1 < heap.count, heap[child + 1] < heap[child] { child += 1 }
            guard heap[child] < heap[position] else { return }
            heap.swapAt(position, child)
            position = child
        }
    }
}
