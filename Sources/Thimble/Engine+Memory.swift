//! Whether a model's weights fit in memory, before any are read.

internal import CPUBackend
internal import ModelFile

extension Engine {
    private static func weightByteCount(of file: ModelFile) -> Int {
        file.segments.filter { $0.entry.kind == .weights }.reduce(0) { $0 + $1.entry.imageByteCount }
    }

    /// Throws `outOfMemory` where the weights of `file` are larger than `available` bytes. A file of zeros is
    /// small whatever it declares, and a kernel that promises more memory than there is would end the process
    /// only once the weights are being read.
    static func requireMemory(
        forWeightsOf file: ModelFile, available: Int = MemorySize.available
    ) throws(ThimbleError) {
        let needed = weightByteCount(of: file)
        guard needed <= available else {
            throw ThimbleError(
                .outOfMemory,
                "\(file.path): its weights take \(needed) bytes of memory, more than the \(available) bytes "
                    + "that this process may use; give --host-memory, and they are read as they are used")
        }
    }
}
