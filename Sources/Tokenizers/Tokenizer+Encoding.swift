//! From text to ids.

extension Tokenizer {
    /// The ids of ordinary text.
    ///
    /// The spelling of an added token in the text is text like any other: no added token ever comes out.
    public func encode(_ text: String) -> [Int32] {
        var text = text
        text.makeContiguousUTF8()
        return encode(text.utf8.span)
    }

    /// The ids of ordinary text in UTF-8. Bytes that are not UTF-8 are kept: the bytes of the ids are
    /// `bytes`.
    public func encode(_ bytes: [UInt8]) -> [Int32] {
        encode(bytes.span)
    }

    /// The ids of ordinary text in UTF-8. Bytes that are not UTF-8 are kept: the bytes of the ids are
    /// `bytes`.
    ///
    /// The cost is O(n log n), whatever the text.
    public func encode(_ bytes: Span<UInt8>) -> [Int32] {
        var ids: [Int32] = []
        var merger = BytePairMerger()
        var start = 0
        while start < bytes.count {
            let end = pattern.endOfWord(in: bytes, from: start)
            append(bytes, start..<end, &merger, to: &ids)
            start = end
        }
        return ids
    }

    private func append(
        _ bytes: Span<UInt8>, _ word: Range<Int>, _ merger: inout BytePairMerger, to ids: inout [Int32]
    ) {
        if word.count == 1 {
            ids.append(byteTokens[Int(bytes[word.lowerBound])])
            return
        }
        if let id = wholeWord(bytes, word) {
            ids.append(id)
            return
        }
        var start = word.lowerBound
        while start < word.upperBound {
            let end = min(word.upperBound, start + TokenizerLimits.maxWordBytes)
            merger.merge(bytes, start..<end, self, into: &ids)
            start = end
        }
    }

    /// The token that is the whole word, where the tokenizer takes such tokens without merging.
    private func wholeWord(_ bytes: Span<UInt8>, _ word: Range<Int>) -> Int32? {
        guard let wholeWords, word.count <= TokenizerLimits.maxTokenBytes else { return nil }
        return wholeWords.token(word.map { bytes[$0] }[...], vocabulary)
    }
}
