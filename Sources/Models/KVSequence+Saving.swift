//! Keys and values of a sequence as they go to a saved session, and as they come back.

internal import SessionFiles
public import Tensors

extension KVPool {
    /// Pages of `count` positions.
    public func pageCount(holding count: Int) -> Int { (count + pageTokens - 1) / pageTokens }

    /// Room for one page on its way, drawn from `account` unless there is such room already; `path` is where
    /// pages go or come from. Throws `backend` or `file` where memory is refused.
    public func staging(
        path: String, account: (any MemoryAccount)?
    ) throws(ModelError) -> PageStaging {
        if let spill { return spill.staging }
        return try PageStaging(pageByteCount: pageByteCount, path: path, account: account)
    }
}

extension KVSequence {
    /// The positions that can be saved: those whose keys and values were computed for sure, and are not lost.
    ///
    /// Throws as `wake` does.
    public func savedCount() throws(ModelError) -> Int {
        try wake()
        return confirmedLength
    }

    /// Copies a page out. What it has behind the first `count` positions of the sequence becomes zeros:
    /// others may have left something there.
    ///
    /// Throws `backend` for a fault of the device. Precondition: `savedCount` was asked last, and `count` is
    /// no more; the page holds one of these positions; `staging` is this pool's.
    public func readPage(
        _ index: Int, ofFirst count: Int, into staging: PageStaging
    ) throws(ModelError) {
        precondition(count <= confirmedLength && index >= 0 && index < pool.pageCount(holding: count))
        guard let slot = pool.book.slot(of: pages[index]) else {
            preconditionFailure("the pages of a sequence that runs are in memory")
        }
        do { try unsafe pool.read(slot, into: staging.bytes) } catch {
            throw .backend(BackendError(.deviceLost, error.detail))
        }
        let filled = count - index * pool.pageTokens
        if filled < pool.pageTokens { unsafe pool.clear(staging.bytes, from: filled) }
    }

    /// Makes this hold `count` positions whose pages `fill` puts into `staging`, in order. On error it holds
    /// nothing.
    ///
    /// Throws `contextFull`, `poolFull`, what `fill` does, and `backend` for a fault of the device.
    /// Precondition: it holds nothing; `staging` is this pool's.
    public func restore(
        _ count: Int, through staging: PageStaging,
        fill: (_ index: Int, _ page: UnsafeMutableRawBufferPointer) throws(ModelError) -> Void
    ) throws(ModelError) {
        precondition(length == 0 && count >= 0)
        try reserve(count)
        do throws(ModelError) {
            for index in 0..<pool.pageCount(holding: count) {
                guard let slot = pool.book.slot(of: pages[index]) else {
                    preconditionFailure("a page that was just taken is in memory")
                }
                try unsafe fill(index, staging.bytes)
                unsafe pool.write(UnsafeRawBufferPointer(staging.bytes), to: slot)
            }
            do { try pool.synchronize() } catch { throw ModelError.backend(error) }
        } catch {
            releaseReserve()
            throw error
        }
        commit(count)
        confirmRestored()
    }
}

extension KVPool {
    /// Zeroes what a copy of a page has from token `first` on.
    func clear(_ bytes: UnsafeMutableRawBufferPointer, from first: Int) {
        let codes = type.codeByteCount(headSize: headSize)
        let scales = type.scaleByteCount
        var start = 0
        // Each head of each layer has the codes of all tokens, then their scales.
        for _ in 0..<layerCount * 2 * kvHeads {
            for size in [codes, scales] {
                let end = start + pageTokens * size
                for index in start + first * size..<end { unsafe bytes[index] = 0 }
                start = end
            }
        }
        precondition(start == bytes.count)
    }
}
