//! What pages are known by: everything that decides which keys and values they hold.

/// The name of a full page: a hash of the name of the page before it, of its tokens, and of the images in it
/// with what of them is there. Pages of one name hold the same.
///
/// Texts and images come from people who may wish for two of one name, so that one's keys and values are
/// taken for the other's. The hash is the standard library's, which is made against that: its key is drawn
/// anew by each process, and nobody sees a name. Two of its 64-bit values make one of 128 bits, so that none
/// come together by chance.
struct PageName: Hashable {
    private let value: UInt128

    /// The name of the page of `positions` of `inputs`, whose page before is known by `previous`; nil for the
    /// first page.
    ///
    /// Precondition: the positions are those of a page, and there are inputs for all of them.
    init(_ inputs: InputSequence, _ positions: Range<Int>, after previous: PageName?) {
        value =
            UInt128(Self.half(0, inputs, positions, previous)) << 64
            | UInt128(Self.half(1, inputs, positions, previous))
    }

    private static func half(
        _ salt: UInt8, _ inputs: InputSequence, _ positions: Range<Int>, _ previous: PageName?
    ) -> UInt64 {
        var hasher = Hasher()
        hasher.combine(salt)
        hasher.combine(previous?.value ?? 0)
        unsafe inputs.tokens.span.extracting(positions).bytes.withUnsafeBytes {
            unsafe hasher.combine(bytes: $0)
        }
        for image in inputs.images(in: positions) {
            hasher.combine(image.key)
            // Where it is in the page, or what of it is there.
            hasher.combine(image.start - positions.lowerBound)
        }
        return UInt64(bitPattern: Int64(hasher.finalize()))
    }
}

extension InputSequence {
    /// The images of which visual tokens stand at `positions`.
    func images(in positions: Range<Int>) -> ArraySlice<ImageSpan> {
        // They are in order, and do not overlap: those before and those behind are left out.
        var (low, high) = (0, images.count)
        while low < high {
            let middle = (low + high) / 2
            if images[middle].end <= positions.lowerBound { low = middle + 1 } else { high = middle }
        }
        var end = low
        while end < images.count, images[end].start < positions.upperBound { end += 1 }
        return images[low..<end]
    }
}
