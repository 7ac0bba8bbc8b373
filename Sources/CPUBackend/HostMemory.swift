//! The CPU's memory: page-aligned, zeroed, refused with an error when there is none.

internal import CKernels
internal import Glibc
internal import Tensors

/// One block of host memory, owned.
@safe final class HostMemory: BackendMemory, @unchecked Sendable {
    let byteCount: Int
    /// Valid for `byteCount` bytes as long as the object lives.
    let base: UnsafeMutableRawPointer
    private let drawn: DrawnBytes

    /// The pages come zeroed from the kernel and count only once they are touched, so a KV cache of a long
    /// context costs what its tokens take.
    ///
    /// Weights are touched whole, and reading them is what decoding waits for: they ask for huge pages, whose
    /// addresses cost less to look up. Where the system gives none, nothing is lost.
    ///
    /// Drawn from `account` first. Throws `outOfMemory`.
    init(
        byteCount: Int, label: String, use: MemoryUse = .working, account: (any MemoryAccount)? = nil
    ) throws(BackendError) {
        precondition(byteCount >= 0)
        drawn = try DrawnBytes(byteCount, of: .host, for: label, from: account)
        let alignment = use == .weights && byteCount >= Self.hugePage ? Self.hugePage : 0
        let (size, overflows) = max(byteCount, 1).addingReportingOverflow(alignment)
        guard !overflows,
            let start = unsafe mmap(nil, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0),
            unsafe start != MAP_FAILED
        else { throw BackendError(.outOfMemory, "no \(byteCount) bytes of host memory for \(label)") }
        self.byteCount = byteCount
        unsafe base = alignment == 0 ? start : Self.aligned(start, size, byteCount)
        if alignment > 0 { unsafe madvise(base, byteCount, Int32(MADV_HUGEPAGE)) }
    }

    private static let hugePage = 2 << 20

    /// The part of a mapping that starts at a huge page; gives back what lies before and behind it.
    private static func aligned(
        _ start: UnsafeMutableRawPointer, _ size: Int, _ byteCount: Int
    ) -> UnsafeMutableRawPointer {
        let base = unsafe start.alignedUp(toMultipleOf: hugePage)
        let page = 4096
        let end = unsafe (base + byteCount).alignedUp(toMultipleOf: page)
        let (before, behind) = unsafe (start.distance(to: base), end.distance(to: start + size))
        if before > 0 { unsafe munmap(start, before) }
        if behind > 0 { unsafe munmap(end, behind) }
        return unsafe base
    }

    deinit { unsafe munmap(base, max(byteCount, 1)) }
}

/// The CPU's view of a backend memory. Traps for memory that another backend made.
@inline(__always)
func hostBase(_ memory: any BackendMemory) -> UnsafeMutableRawPointer {
    guard let host = memory as? HostMemory else { preconditionFailure("memory of another backend") }
    return unsafe host.base
}

extension Activation {
    /// The first element, valid as long as the memory lives.
    @inline(__always)
    var floats: UnsafeMutablePointer<Float> {
        unsafe (hostBase(memory) + offset).assumingMemoryBound(to: Float.self)
    }

    /// The first element of a row.
    @inline(__always)
    func row(_ index: Int) -> UnsafeMutablePointer<Float> { unsafe floats + index * columns }
}

extension WeightedGather {
    /// The first index, valid as long as the memory lives.
    var indexValues: UnsafePointer<Int32> {
        unsafe UnsafePointer((hostBase(memory) + indicesOffset).assumingMemoryBound(to: Int32.self))
    }
}

extension Vector {
    /// The first element, valid as long as the memory lives.
    @inline(__always)
    var floats: UnsafePointer<Float> {
        unsafe UnsafePointer((hostBase(memory) + offset).assumingMemoryBound(to: Float.self))
    }
}

extension Matrix {
    /// The matrix as the kernels take it, valid as long as the memory lives.
    var kernelWeights: thimble_weights {
        let base = unsafe hostBase(memory)
        return unsafe thimble_weights(
            codes: base + codesOffset,
            scales: layout.scalesByteCount == 0
                ? nil : UnsafePointer((base + scalesOffset).assumingMemoryBound(to: UInt16.self)),
            rows: Int64(layout.rows), padded_columns: Int64(layout.paddedColumns),
            group: Int64(layout.format.group))
    }
}
