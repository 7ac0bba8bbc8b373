//! Whether a model's weights fit in memory, before any are read.

internal import CPUBackend
internal import Memory
internal import ModelFile

extension Engine {
    /// The most bytes that this process's control group has held, others in it included; nil where it is not
    /// told.
    public static var groupPeakByteCount: Int? { MemorySize.groupPeak }

    /// Bytes of the device's memory that this process holds now, as the driver says; nil on the CPU and where
    /// it does not say.
    public var deviceUsedByteCount: Int? { opened.usedByteCount }

    private static func weightByteCount(of model: ModelOutline) -> Int {
        model.segments.filter { $0.entry.kind == .weights }.reduce(0) { $0 + $1.entry.imageByteCount }
    }

    /// Throws `outOfMemory` where the weights of `model` are larger than `available` bytes. A file of zeros
    /// is small whatever it declares, and a kernel that promises more memory than there is would end the
    /// process only once the weights are being read.
    static func requireMemory(
        forWeightsOf model: ModelOutline, _ path: String, available: Int = MemorySize.available
    ) throws(ThimbleError) {
        let needed = weightByteCount(of: model)
        guard needed <= available else {
            throw ThimbleError(
                .outOfMemory,
                "\(path): its weights take \(needed) bytes of memory, more than the \(available) bytes "
                    + "that this process may use; give --host-memory, and they are read as they are used")
        }
    }

    /// Throws `outOfMemory` where what `plan` holds of the host's memory is more than `available` bytes.
    static func requireMemory(
        for plan: Plan, _ path: String, available: Int = MemorySize.available
    ) throws(ThimbleError) {
        let needed = plan.byteCount(.host)
        guard needed <= available else {
            throw ThimbleError(
                .outOfMemory,
                "\(path): \(plan.offloadedLayerCount) layers on the CPU take \(needed) bytes of memory, more "
                    + "than the \(available) bytes that this process may use; give --host-memory, and they "
                    + "are read as they are used")
        }
    }
}
