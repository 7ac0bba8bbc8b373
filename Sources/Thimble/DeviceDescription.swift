//! What computes: for a person to read and for a measurement to record.

internal import CPUBackend

/// A device that models run on.
public struct DeviceDescription: Sendable, Equatable {
    /// The name that `DeviceChoice` takes.
    public var name: String
    /// The set of kernels in use.
    public var variant: String
    /// Threads that compute.
    public var threadCount: Int

    /// The devices of this machine, the one that `DeviceChoice.automatic` picks first.
    public static var available: [DeviceDescription] {
        [
            DeviceDescription(
                name: "cpu", variant: CPUBackend.variants.last ?? "scalar",
                threadCount: CoreCount.available)
        ]
    }
}

extension Engine {
    /// The device that this engine runs on.
    public var device: DeviceDescription {
        DeviceDescription(name: "cpu", variant: backend.variant, threadCount: backend.threadCount)
    }
}
