//! Memory that a backend computes on, and views of it. Views carry no ownership.

/// One allocation of a backend: host memory for the CPU, a device buffer for a GPU.
///
/// Only the backend that made it can look inside.
public protocol BackendMemory: AnyObject, Sendable {
    var byteCount: Int { get }
}

/// Float32 activations `[rows, columns]` in a backend's memory: one row a token or a patch, rows contiguous.
public struct Activation: Sendable {
    public let memory: any BackendMemory
    /// Bytes from the start of the memory.
    public let offset: Int
    public let rows: Int
    public let columns: Int

    /// Precondition: the rows lie inside the memory.
    public init(_ memory: any BackendMemory, offset: Int = 0, rows: Int, columns: Int) {
        precondition(offset >= 0 && rows >= 0 && columns > 0)
        precondition(offset + rows * columns * 4 <= memory.byteCount, "an activation lies inside its memory")
        self.memory = memory
        self.offset = offset
        self.rows = rows
        self.columns = columns
    }

    /// The rows of `range`, of the same memory.
    public func rows(_ range: Range<Int>) -> Activation {
        precondition(range.lowerBound >= 0 && range.upperBound <= rows)
        return Activation(
            memory, offset: offset + range.lowerBound * columns * 4, rows: range.count, columns: columns)
    }

    /// Some of the columns of a single row.
    public func columns(_ range: Range<Int>) -> Activation {
        precondition(rows == 1 && range.lowerBound >= 0 && range.upperBound <= columns)
        return Activation(memory, offset: offset + range.lowerBound * 4, rows: 1, columns: range.count)
    }

    /// The same numbers with `count` rows joined into one.
    public func joiningRows(_ count: Int) -> Activation {
        precondition(rows % count == 0)
        return Activation(memory, offset: offset, rows: rows / count, columns: columns * count)
    }
}

/// A weight matrix `[rows, columns]` in the tiled layout of `WeightLayout`.
public struct Matrix: Sendable {
    public let layout: WeightLayout
    public let memory: any BackendMemory
    /// Bytes from the start of the memory to the codes plane.
    public let codesOffset: Int
    /// Bytes from the start of the memory to the scales plane; of no meaning where the format has no scales.
    public let scalesOffset: Int

    /// Precondition: both planes lie inside the memory.
    public init(layout: WeightLayout, memory: any BackendMemory, codesOffset: Int, scalesOffset: Int) {
        precondition(codesOffset >= 0 && codesOffset + layout.codesByteCount <= memory.byteCount)
        precondition(scalesOffset >= 0 && scalesOffset + layout.scalesByteCount <= memory.byteCount)
        self.layout = layout
        self.memory = memory
        self.codesOffset = codesOffset
        self.scalesOffset = scalesOffset
    }
}

/// A weight vector `[count]` of float32: a norm's weight or a bias.
public struct Vector: Sendable {
    public let memory: any BackendMemory
    /// Bytes from the start of the memory.
    public let offset: Int
    public let count: Int

    /// Precondition: the vector lies inside the memory.
    public init(_ memory: any BackendMemory, offset: Int, count: Int) {
        precondition(offset >= 0 && count > 0 && offset + count * 4 <= memory.byteCount)
        self.memory = memory
        self.offset = offset
        self.count = count
    }
}

/// The pages of a sequence in order, each checked when it is added.
public struct BlockTable: Sendable, ExpressibleByArrayLiteral {
    public private(set) var pages: [Int32] = []
    /// Above every page that was ever in the table.
    public private(set) var pageLimit = 0

    /// Room for `capacity` pages, so that adding them allocates nothing.
    public init(capacity: Int) { pages.reserveCapacity(capacity) }

    public init(arrayLiteral pages: Int32...) {
        for page in pages { append(page) }
    }

    public var count: Int { pages.count }
    public subscript(index: Int) -> Int32 { pages[index] }

    /// Precondition: `page` is not negative.
    public mutating func append(_ page: Int32) {
        precondition(page >= 0)
        pages.append(page)
        pageLimit = max(pageLimit, Int(page) + 1)
    }

    /// Precondition: the table is not empty.
    public mutating func removeLast() -> Int32 { pages.removeLast() }

    /// Puts another page in the place of one. Precondition: there is one at `index`, and `page` is not
    /// negative.
    public mutating func replace(_ index: Int, with page: Int32) {
        precondition(page >= 0)
        pages[index] = page
        pageLimit = max(pageLimit, Int(page) + 1)
    }
}

/// Keys and values of one layer, in pages, as the tokens of one sequence see them.
///
/// A page holds, for each of `[2: key, value][kvHeads]`, the codes of its tokens and behind them their
/// scales:
///
///           codes [pageTokens]                    scales [pageTokens]
///     f16   float16 [headSize]                    none
///     int8  int8 [headSize], whole words          a float32: an element is scale * code
///     int5  blocks of 32 elements           a word: a step and a least element
///
/// Words have 32 bits and little-endian bytes. A block is a word of its codes' fifth bits, element 0's in the
/// lowest, then words of 8 codes' other four bits, as many as it needs: the elements 0 to 3 in the low halves
/// of a word's bytes and 4 to 7 in the high ones. A row's word holds two bfloat16, the step in the low half
/// and the least element in the high one: an element is least + step * the level of its code, levels lying
/// closer together in the middle. Elements of int5 are those of the head rotated by an orthonormal Hadamard
/// matrix, block by block of the largest power of two that divides `headSize`. The rest is said in
/// CKernels.h.
///
/// Position `p` of the sequence lies in the page `blockTable[p / pageTokens]`, at token `p % pageTokens`.
public struct PagedKV: Sendable {
    public let memory: any BackendMemory
    public let type: KVType
    /// Bytes from the start of the memory to page 0 of this layer.
    public private(set) var offset: Int
    public let kvHeads: Int
    public let headSize: Int
    public let pageTokens: Int
    /// Page of each run of `pageTokens` positions.
    public let blockTable: BlockTable

    /// Costs the same however long the sequence is. Precondition: every page named lies inside the memory,
    /// and `offset` is a multiple of 4 unless pages hold float16.
    public init(
        memory: any BackendMemory, offset: Int, type: KVType, kvHeads: Int, headSize: Int, pageTokens: Int,
        blockTable: BlockTable
    ) {
        self.memory = memory
        self.type = type
        self.offset = offset
        self.kvHeads = kvHeads
        self.headSize = headSize
        self.pageTokens = pageTokens
        self.blockTable = blockTable
        precondition(kvHeads > 0 && headSize > 0 && pageTokens > 0)
        checkExtent()
    }

    /// The pages of the same numbers of another layer, whose page 0 is `offset` bytes into the memory.
    ///
    /// Precondition: every page named lies inside the memory, and `offset` is a multiple of 4 unless pages
    /// hold float16.
    public func moved(to offset: Int) -> PagedKV {
        var other = self
        other.offset = offset
        other.checkExtent()
        return other
    }

    private func checkExtent() {
        precondition(offset >= 0 && (type == .f16 || offset % 4 == 0))
        precondition(blockTable.pageLimit * pageByteCount <= memory.byteCount - offset)
    }

    /// Bytes of one page of one layer.
    public var pageByteCount: Int {
        Self.pageByteCount(type: type, kvHeads: kvHeads, headSize: headSize, pageTokens: pageTokens)
    }

    /// Bytes of one page of one layer of the shape given.
    public static func pageByteCount(type: KVType, kvHeads: Int, headSize: Int, pageTokens: Int) -> Int {
        2 * kvHeads * pageTokens * type.byteCount(headSize: headSize)
    }

    /// Where a head's codes begin, in bytes from the start of its page: `part` 0 for the key, 1 for the value
    /// of `slot`, a token of the page.
    public func codesOffset(part: Int, head: Int, slot: Int) -> Int {
        headOffset(part, head) + slot * type.codeByteCount(headSize: headSize)
    }

    /// Where its scales begin, likewise; of no meaning where pages hold float16.
    public func scalesOffset(part: Int, head: Int, slot: Int) -> Int {
        headOffset(part, head) + pageTokens * type.codeByteCount(headSize: headSize)
            + slot * type.scaleByteCount
    }

    private func headOffset(_ part: Int, _ head: Int) -> Int {
        (part * kvHeads + head) * pageTokens * type.byteCount(headSize: headSize)
    }
}
