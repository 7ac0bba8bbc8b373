//! Ranges of rows that attention keeps apart.

/// Rows in ranges that follow each other from row 0 on, as the patches of images do.
public struct RowRanges: Sendable {
    /// Where each range begins, and at last where all end.
    private let bounds: [Int]
    /// Where a device finds the bounds, as uint32.
    public let memory: any BackendMemory
    /// Bytes from the start of the memory.
    public let offset: Int

    /// Bytes that the bounds of so many ranges take.
    public static func byteCount(_ count: Int) -> Int { (count + 1) * 4 }

    /// Writes the bounds into a memory of `backend`, where they must stay as they are while they are used.
    ///
    /// Precondition: there is a range, the first begins at 0, none is empty, and the memory has room.
    public init(_ bounds: [Int], in memory: any BackendMemory, at offset: Int, on backend: any Backend) {
        precondition(bounds.count > 1 && bounds[0] == 0)
        for index in 1..<bounds.count { precondition(bounds[index - 1] < bounds[index]) }
        self.bounds = bounds
        self.memory = memory
        self.offset = offset
        unsafe backend.fill(memory, offset..<offset + bounds.count * 4) { bytes in
            let words = unsafe bytes.assumingMemoryBound(to: UInt32.self)
            for index in bounds.indices { unsafe words[index] = UInt32(bounds[index]) }
        }
    }

    public var count: Int { bounds.count - 1 }
    /// Rows of all ranges.
    public var rows: Int { bounds[count] }
    public subscript(index: Int) -> Range<Int> { bounds[index]..<bounds[index + 1] }
    /// Rows of the longest range.
    public var longest: Int { (0..<count).reduce(0) { max($0, self[$1].count) } }
}
