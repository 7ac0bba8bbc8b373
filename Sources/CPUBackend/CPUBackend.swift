//! The CPU as a backend: the reference that every other backend is tested against.

internal import CKernels
internal import Glibc
public import Tensors

/// Runs every operation at once on the calling thread and a pool of helpers.
///
/// Not safe to call from several threads at a time.
@safe public final class CPUBackend: Backend {
    let kernels: UnsafePointer<thimble_kernels>
    let pool: ThreadPool
    /// Room for what lives within one operation; it grows to the largest operation seen.
    let scratch = Scratch()
    /// The first operation's fault since the last `synchronize`, which throws it.
    private var fault: BackendError?

    /// The kernel variants this machine can run, the definition first, the preferred one last.
    public static var variants: [String] {
        unsafe availableTables().map { unsafe String(cString: $0.pointee.name) }
    }

    /// `variant` names one of `variants`; nil picks the preferred one.
    /// Precondition: `threadCount` is positive, `variant` is one of `variants`.
    public init(threadCount: Int, variant: String? = nil) {
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

    public func makeMemory(byteCount: Int, label: String) throws(BackendError) -> any BackendMemory {
        try HostMemory(byteCount: byteCount, label: label)
    }

    public func fill<E: Error>(
        _ memory: any BackendMemory, _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        try unsafe body(UnsafeMutableRawBufferPointer(start: hostBase(memory), count: memory.byteCount))
    }

    public func write(_ values: UnsafeBufferPointer<Float>, to activation: Activation) {
        precondition(values.count == activation.rows * activation.columns)
        guard let source = values.baseAddress else { return }
        unsafe activation.floats.update(from: source, count: values.count)
    }

    public func read(_ activation: Activation, into values: UnsafeMutableBufferPointer<Float>) {
        precondition(values.count == activation.rows * activation.columns)
        guard let target = values.baseAddress else { return }
        unsafe target.update(from: activation.floats, count: values.count)
    }

    public func synchronize() throws(BackendError) {
        guard let fault else { return }
        self.fault = nil
        throw fault
    }

    /// Runs an operation, unless one before it has failed: then nothing that follows would mean anything.
    func perform(_ operation: () throws(BackendError) -> Void) {
        guard fault == nil else { return }
        do { try operation() } catch { fault = error }
    }
}

/// Host memory that is asked for again and again and kept in between.
final class Scratch {
    private var blocks: [Purpose: HostMemory] = [:]

    /// What a block is for: blocks of different purposes live at the same time.
    enum Purpose: String {
        case normalized, padded, codes, scales, sums, product, attention, patches
    }

    /// At least `count` elements, valid until the next call with the same purpose.
    func take<Element>(
        _ purpose: Purpose, _ count: Int, as type: Element.Type
    ) throws(BackendError) -> UnsafeMutablePointer<Element> {
        let byteCount = count * MemoryLayout<Element>.stride
        if let block = blocks[purpose], block.byteCount >= byteCount {
            return unsafe block.base.assumingMemoryBound(to: Element.self)
        }
        blocks[purpose] = nil
        let block = try HostMemory(byteCount: byteCount, label: "\(purpose.rawValue) scratch")
        blocks[purpose] = block
        return unsafe block.base.assumingMemoryBound(to: Element.self)
    }
}
