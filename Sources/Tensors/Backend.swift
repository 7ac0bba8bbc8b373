//! What a model asks of a backend: a few coarse operations, cut so that a GPU can run each as one dispatch.

/// Where a projection's input comes from.
public enum Prologue: Sendable {
    /// The activation as it is.
    case plain(Activation)
    /// `rmsNorm(x) * weight`.
    case rmsNorm(Activation, weight: Vector, epsilon: Float)
    /// `sum = residual + rmsNorm(delta) * deltaWeight`, kept; then `rmsNorm(sum) * weight`.
    ///
    /// The sandwich norm of GLM-4: what the block before has computed is normalised before it joins the
    /// residual. The sum has memory of its own, for on a GPU many workgroups compute it at once.
    case residual(
        Activation, adding: Activation, deltaWeight: Vector, weight: Vector, epsilon: Float, into: Activation)

    /// The activation that gives the shape.
    public var input: Activation {
        switch self {
        case .plain(let x), .rmsNorm(let x, _, _), .residual(let x, _, _, _, _, _): x
        }
    }
}

/// What becomes of a projection's output.
public enum Epilogue: Sendable {
    /// `y = W x`, or `y = W x + bias`, into `[rows of x, rows of W]`.
    case store(Activation, bias: Vector?)
    /// `y[i] = silu(Wx[2i]) * Wx[2i + 1]`, into `[rows of x, rows of W / 2]`.
    case swiglu(Activation)
    /// `y += W x`.
    case add(Activation)
    /// `Wx + bias` is `[q heads | key heads | value heads]`: queries and keys are rotated, queries stored,
    /// keys and values appended to the pages from position `start` on.
    case attentionInputs(queries: Activation, bias: Vector?, rotary: Rotary, kv: PagedKV, start: Int)
}

/// Rotary angles of some tokens: cosines and sines `[rows, pairs]`.
public struct Rotary: Sendable {
    public enum Pairing: Sendable {
        /// Dimension `2i` with `2i + 1`: GLM-4's decoder.
        case interleaved
        /// Dimension `i` with `pairs + i`: the vision tower.
        case halves
    }

    public let cosines: Activation
    public let sines: Activation
    public let pairing: Pairing

    /// Precondition: cosines and sines have one shape.
    public init(cosines: Activation, sines: Activation, pairing: Pairing) {
        precondition(cosines.rows == sines.rows && cosines.columns == sines.columns)
        self.cosines = cosines
        self.sines = sines
        self.pairing = pairing
    }

    /// The angles of the tokens of `range`.
    public func rows(_ range: Range<Int>) -> Rotary {
        Rotary(cosines: cosines.rows(range), sines: sines.rows(range), pairing: pairing)
    }

    /// The first `count` rows.
    public func prefix(_ count: Int) -> Rotary { rows(0..<count) }
}

/// Rows of a table, weighted, that the row and the column of a patch choose together: it gets the sum over
/// `i` and `j` of `weights[row][i] * weights[column][j] * table[indices[row][i] + indices[column][j]]`.
public struct WeightedGather: Sendable {
    public let memory: any BackendMemory
    /// Bytes from the start of the memory to the indices: int32 `[rows, then columns of the grid, taps]`.
    public let indicesOffset: Int
    /// `[rows, then columns of the grid, taps]`
    public let weights: Activation
    /// Rows and columns of the grid in all.
    public var sides: Int { weights.rows }
    public var taps: Int { weights.columns }

    /// Indices of the shape of `weights`. Precondition: they lie inside the memory, which both share.
    public init(indicesOffset: Int, weights: Activation) {
        memory = weights.memory
        precondition(indicesOffset >= 0 && indicesOffset % 4 == 0)
        precondition(indicesOffset + weights.rows * weights.columns * 4 <= memory.byteCount)
        self.indicesOffset = indicesOffset
        self.weights = weights
    }
}

/// What decides how much room an operation needs while it runs.
public enum OperationShape: Sendable {
    /// `cutPatches` of images of that size.
    case patches(PatchCut)
    /// A projection of at most `rows` rows by a matrix of that layout, for attention inputs or another
    /// epilogue.
    case projection(rows: Int, WeightLayout, storesAttentionInputs: Bool)
    /// An attention of any number of queries.
    case attention(queryHeads: Int, kvHeads: Int, headSize: Int)
}

/// Why a backend could not do what was asked.
public struct BackendError: Error, Equatable {
    public enum Code: Sendable {
        /// Memory was refused.
        case outOfMemory
        /// The device stopped answering.
        case deviceLost
    }

    public let code: Code
    public let message: String
    /// What the device's driver said, as its number; 0 where there is none.
    public let deviceResult: Int32

    public init(_ code: Code, _ message: String, deviceResult: Int32 = 0) {
        self.code = code
        self.message = message
        self.deviceResult = deviceResult
    }
}

/// How a memory will be used, so that a backend can choose its kind.
public enum MemoryUse: Sendable {
    /// Filled whole at load, then read from end to end again and again.
    case weights
    /// Reserved for the most that may be needed; counts only as far as it is touched.
    case working
}

/// A point in the order of what a backend is asked for; of meaning to that one alone.
public struct BackendMark: Sendable {
    public let position: UInt64

    public init(_ position: UInt64) { self.position = position }
}

/// A processor that runs a model.
///
/// Operations may be queued: they run in the order asked, and take no memory. Shapes are the caller's duty
/// and trap when wrong; faults of the world come out of `makeMemory`, `read` and `synchronize`.
public protocol Backend: AnyObject {
    /// Zeroed memory, aligned to 4096 bytes. `label` names it in errors and accounts.
    func makeMemory(
        byteCount: Int, label: String, use: MemoryUse
    ) throws(BackendError) -> any BackendMemory
    /// Bytes of scratch that an operation of this shape needs beyond its operands.
    func scratchByteCount(of operation: OperationShape) -> Int
    /// Lends the bytes that later operations take their scratch from, until others are lent; they must be
    /// enough for each, and start at a multiple of 64. Nobody else may use them while operations run.
    func useScratch(_ memory: any BackendMemory, bytes: Range<Int>)
    /// Lends bytes of a memory to the host, to be filled, once what was asked before no longer needs them.
    func fill<E: Error>(
        _ memory: any BackendMemory, _ bytes: Range<Int>,
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E)
    /// Waits until everything asked for has happened, and lends an activation's numbers to the host.
    func read(_ activation: Activation, _ body: (UnsafeBufferPointer<Float>) -> Void) throws(BackendError)
    /// Waits until everything asked for has happened, and lends the bytes of runs of a memory to the host, in
    /// order, in as many pieces as suit. Precondition: the runs lie inside the memory.
    func read(
        _ memory: any BackendMemory, _ runs: [Range<Int>], _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(BackendError)
    /// Waits until everything asked for has happened, and writes bytes of a memory to the host's, as fast as
    /// can be. Precondition: they lie inside the memory, and `target` has as many.
    func read(
        _ memory: any BackendMemory, _ bytes: Range<Int>, into target: UnsafeMutableRawBufferPointer
    ) throws(BackendError)
    /// Waits until everything asked for has happened.
    func synchronize() throws(BackendError)

    /// A point behind everything asked for so far.
    func mark() -> BackendMark
    /// Fills bytes of a memory beside what is computed, once everything before `mark` has happened: what is
    /// asked for sees them from the next `joinAside` on. `body` is lent pieces in order, with their bytes
    /// counted from the first one; none after a fault.
    func fillAside<E: Error>(
        _ memory: any BackendMemory, _ bytes: Range<Int>, after mark: BackendMark,
        _ body: (_ within: Range<Int>, UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E)
    /// Waits until what was asked for before `mark` has happened, and lends the bytes of runs of a memory to
    /// the host, in order, in as many pieces as suit, while what was asked for after it goes on.
    func readAside(
        _ memory: any BackendMemory, _ runs: [Range<Int>], after mark: BackendMark,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(BackendError)
    /// Bytes of the host's memory as a memory that `copyAside` takes; nil where they are to be copied by the
    /// host. `owner` keeps them where they are.
    ///
    /// Precondition: they begin and end with pages of the host, the last of which may go on.
    func reach(_ bytes: UnsafeRawBufferPointer, of owner: any BackendMemory) -> (any BackendMemory)?
    /// Copies the whole of what `reach` has given to the start of a memory, as `fillAside` fills it.
    func copyAside(_ reached: any BackendMemory, to memory: any BackendMemory, after mark: BackendMark)
    /// Lets what is asked for from here on wait for all that is filled aside.
    func joinAside()

    /// Resizes an image, given as red, green and blue bytes row by row without padding, normalises it and
    /// cuts it into patches, `[patchCount, patchElementCount]`. The pixels need to live as long as the call.
    func cutPatches(_ pixels: Span<UInt8>, _ cut: PatchCut, into patches: Activation)
    /// `y[i] = table[tokens[i]]`.
    func embed(_ tokens: Span<Int32>, table: Matrix, into y: Activation)
    /// `y[rows[i]] = table[tokens[i]]`: rows of `y` in any order, none twice. There are as many as tokens.
    func embed(_ tokens: Span<Int32>, table: Matrix, into y: Activation, at rows: Span<Int32>)
    /// Says which matrix the next projection but the one that may be asked for at once will take; nil where
    /// that is not known. A hint, of which nothing depends but time: where one token waits for memory, a
    /// processor can begin to read it. It holds until the next one.
    func expect(_ weight: Matrix?)
    /// `epilogue(W * prologue)`.
    func project(_ input: Prologue, _ weight: Matrix, _ output: Epilogue)
    /// Softmax(q k^T * scale) v over pages, grouped-query: `queries` and `y` are
    /// `[tokens, heads * headSize]`. Causal: query `i` sees positions up to `start + i`; else every query
    /// sees all `length` positions.
    func attention(
        queries: Activation, kv: PagedKV, start: Int, length: Int, isCausal: Bool, scale: Float,
        into y: Activation)
    /// The same where a row's position is its number, and each query sees all positions of its own range and
    /// none of another: what images of a batch are to each other. The ranges are all rows of `queries`.
    func attention(
        queries: Activation, kv: PagedKV, within ranges: RowRanges, scale: Float, into y: Activation)
    /// `y = rmsNorm(x) * weight`, over rows of `weight.count`.
    func rmsNorm(_ x: Activation, weight: Vector, epsilon: Float, into y: Activation)
    /// `y = gelu(layerNorm(x) * weight + bias)`, the exact (erf) form.
    func layerNormGELU(_ x: Activation, weight: Vector, bias: Vector, epsilon: Float, into y: Activation)
    /// `y += gather of the rows of table`, a float32 table `[count / columns of y, columns of y]`, for the
    /// patches of `cut` in their order.
    func addGathered(_ gather: WeightedGather, over cut: PatchCut, table: Vector, to y: Activation)
    /// `y[patch] = [sides[its row] | sides[its column]]` for the patches of `cut` in their order; `sides` is
    /// half as wide as `y`, and has a row for each row of the grid, then one for each column.
    func spread(_ sides: Activation, over cut: PatchCut, into y: Activation)
    /// Copies `x` to `y`, of one shape.
    func copy(_ x: Activation, to y: Activation)

    /// Seconds to only read every byte of `memories` once, as fast as this backend can: what decoding is held
    /// against. Nil where that cannot be measured.
    func secondsToRead(_ memories: [any BackendMemory]) throws(BackendError) -> Double?
    /// Seconds to copy so many bytes from the host's memory to this backend's own: what loading is held
    /// against. Nil where the host writes weights in place.
    func secondsToCopy(byteCount: Int) throws(BackendError) -> Double?
}

extension Backend {
    /// Working memory.
    public func makeMemory(byteCount: Int, label: String) throws(BackendError) -> any BackendMemory {
        try makeMemory(byteCount: byteCount, label: label, use: .working)
    }

    /// Run by run of rows that follow each other.
    public func embed(_ tokens: Span<Int32>, table: Matrix, into y: Activation, at rows: Span<Int32>) {
        precondition(tokens.count == rows.count)
        var first = 0
        while first < rows.count {
            var end = first + 1
            while end < rows.count, rows[end] == rows[end - 1] + 1 { end += 1 }
            let start = Int(rows[first])
            embed(
                tokens.extracting(first..<end), table: table, into: y.rows(start..<start + end - first))
            first = end
        }
    }

    /// Nothing: on most devices nobody is left to wait.
    public func expect(_ weight: Matrix?) {}
}
