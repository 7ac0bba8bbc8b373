//! The CPU as a backend: the reference that every other backend is tested against.

internal import CKernels
public import Tensors

/// Runs every operation at once on the calling thread and a pool of helpers.
///
/// Not safe to call from several threads at a time. Operations take no memory: what they need beyond their
/// operands is lent to them by `useScratch`.
@safe public final class CPUBackend: Backend {
    let kernels: UnsafePointer<thimble_kernels>
    let pool: ThreadPool
    private var scratch: (memory: any BackendMemory, bytes: Range<Int>)?
    private let account: (any MemoryAccount)?
    /// What threads that wait begin to read.
    private(set) var expected: NextWeights?

    /// The kernel variants this machine can run, the definition first, the preferred one last.
    public static var variants: [String] {
        unsafe availableTables().map { unsafe String(cString: $0.pointee.name) }
    }

    /// `variant` names one of `variants`; nil picks the preferred one. All memory is drawn from `account`.
    /// Precondition: `threadCount` is positive, `variant` is one of `variants`.
    public init(threadCount: Int, variant: String? = nil, account: (any MemoryAccount)? = nil) {
        self.account = account
        let tables = unsafe Self.availableTables()
        if let variant {
            guard
                let table = unsafe tables.first(where: { unsafe String(cString: $0.pointee.name) == variant })
            else { preconditionFailure("no kernel variant \(variant)") }
            unsafe kernels = table
        } else {
            unsafe kernels = tables[tables.count - 1]
        }
        pool = ThreadPool(threadCount: threadCount)
    }

    /// The kernel variant in use.
    public var variant: String { unsafe String(cString: kernels.pointee.name) }
    /// Threads in use, the caller included.
    public var threadCount: Int { pool.threadCount }

    private static func availableTables() -> [UnsafePointer<thimble_kernels>] {
        let capacity = 16
        var tables = unsafe [UnsafePointer<thimble_kernels>?](repeating: nil, count: capacity)
        let count = unsafe thimble_kernels_available(&tables, Int32(capacity))
        return unsafe tables.prefix(Int(count)).compactMap { unsafe $0 }
    }

    public func makeMemory(
        byteCount: Int, label: String, use: MemoryUse
    ) throws(BackendError) -> any BackendMemory {
        try HostMemory(byteCount: byteCount, label: label, use: use, account: account)
    }

    public func scratchByteCount(of operation: OperationShape) -> Int {
        switch operation {
        case .patches(let cut):
            PatchScratch(cut, threadCount: pool.threadCount).byteCount
        case .projection(let rows, let layout, let storesAttentionInputs):
            ProjectionScratch(
                rows: rows, layout, storesAttentionInputs: storesAttentionInputs,
                threadCount: pool.threadCount
            ).byteCount
        case .attention(let queryHeads, let kvHeads, let headSize):
            AttentionScratch(
                queryHeads: queryHeads, kvHeads: kvHeads, headSize: headSize, threadCount: pool.threadCount
            ).byteCount
        }
    }

    public func useScratch(_ memory: any BackendMemory, bytes: Range<Int>) {
        precondition(bytes.lowerBound >= 0 && bytes.upperBound <= memory.byteCount)
        precondition(bytes.lowerBound % ScratchLayout.alignment == 0)
        scratch = (memory, bytes)
    }

    /// The scratch, which must have `byteCount` bytes. Valid until the next operation.
    func takeScratch(_ byteCount: Int) -> UnsafeMutableRawPointer {
        guard let scratch, byteCount <= scratch.bytes.count else {
            preconditionFailure("the scratch lent is as large as the largest operation")
        }
        return unsafe hostBase(scratch.memory) + scratch.bytes.lowerBound
    }

    public func expect(_ weight: Matrix?) { expected = weight.map(NextWeights.init) }

    public func fill<E: Error>(
        _ memory: any BackendMemory, _ bytes: Range<Int>,
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        precondition(bytes.lowerBound >= 0 && bytes.upperBound <= memory.byteCount)
        try unsafe body(
            UnsafeMutableRawBufferPointer(start: hostBase(memory) + bytes.lowerBound, count: bytes.count))
    }

    public func read(
        _ activation: Activation, _ body: (UnsafeBufferPointer<Float>) -> Void
    ) throws(BackendError) {
        unsafe body(
            UnsafeBufferPointer(start: activation.floats, count: activation.rows * activation.columns))
    }

    public func read(
        _ memory: any BackendMemory, _ runs: [Range<Int>], _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(BackendError) {
        let base = unsafe UnsafeRawPointer(hostBase(memory))
        for run in runs {
            precondition(run.lowerBound >= 0 && run.upperBound <= memory.byteCount)
            unsafe body(UnsafeRawBufferPointer(start: base + run.lowerBound, count: run.count))
        }
    }

    public func synchronize() throws(BackendError) {}
}
