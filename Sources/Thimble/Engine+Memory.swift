//! Whether a model's weights fit in memory, before any are read.

internal import CPUBackend
internal import ModelFile
internal import Models
internal import Tensors

extension Engine {
    /// Opens a device that has the memory for the model; `automatic` goes to the CPU where a GPU has not.
    /// Throws `noDevice`, `unsupported` where the device does not store keys and values so, or `outOfMemory`,
    /// and `corrupt` where the file lacks tensors.
    static func openDevice(
        _ choice: DeviceChoice, threadCount: Int, for file: ModelFile, contextLength: Int, kvType: KVType,
        _ vulkan: VulkanAccess
    ) throws(ThimbleError) -> OpenDevice {
        let opened = try OpenDevice(choice, threadCount: threadCount, vulkan: vulkan)
        guard kvType == .f16 || opened.backend is CPUBackend else {
            throw ThimbleError(
                .unsupported,
                "\(opened.description.name) stores keys and values as f16, not as \(kvType.rawValue); use "
                    + "--kv f16, or --device cpu")
        }
        do throws(ThimbleError) {
            try requireMemory(of: opened, for: file, contextLength: contextLength, kvType: kvType)
            return opened
        } catch {
            guard choice == .automatic, opened.availableByteCount != nil, error.code == .outOfMemory else {
                throw error
            }
            return try openDevice(
                .cpu, threadCount: threadCount, for: file, contextLength: contextLength, kvType: kvType,
                vulkan)
        }
    }

    private static func requireMemory(
        of device: OpenDevice, for file: ModelFile, contextLength: Int, kvType: KVType
    ) throws(ThimbleError) {
        guard let available = device.availableByteCount else { return try requireMemory(forWeightsOf: file) }
        // What a device has is taken at once, touched or not.
        try translating { () throws(ModelFileError) in try file.checkSchema() }
        let weights = weightByteCount(of: file)
        let keys = KVPool.byteCount(
            for: file.configuration.text, type: kvType, tokenCapacity: contextLength)
        let work = ActivationPlan(file, contextLength: contextLength, on: device.backend).arena.byteCount
        let (needed, overflows) = (weights + work).addingReportingOverflow(keys ?? .max)
        guard needed <= available, !overflows else {
            let keysText = keys.map { "\($0)" } ?? "too many"
            throw ThimbleError(
                .outOfMemory,
                "\(file.path): weights take \(weights) bytes, keys and values of \(contextLength) tokens "
                    + "\(keysText), activations \(work): more than the \(available) bytes that "
                    + "\(device.description.name) has left; give --context fewer tokens, or use --device cpu")
        }
    }

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
                    + "that this process may use")
        }
    }
}
