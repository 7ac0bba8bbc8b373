//! Where a device's time goes, by its own clock.

public import Tensors
internal import VulkanCompute

/// When the dispatches were done that were asked for while it lasted.
final class DispatchProfile {
    private let timestamps: Timestamps
    private var names: [String] = []

    /// More than a pass of the deepest model has dispatches.
    private static let capacity = 8192

    init(_ device: VulkanDevice) throws(VulkanError) {
        timestamps = try Timestamps(device, capacity: Self.capacity)
    }

    /// Counts from here. In a recording, each run of it counts anew.
    func begin(in stream: CommandStream) {
        names.removeAll()
        timestamps.reset(in: stream)
        timestamps.mark(in: stream)
    }

    func add(_ name: String, in stream: CommandStream) {
        names.append(name)
        timestamps.mark(in: stream)
    }

    /// The stream must have been waited for.
    func times() throws(VulkanError) -> [DispatchTime] {
        let moments = try timestamps.seconds()
        return zip(names, zip(moments, moments.dropFirst())).map { name, span in
            DispatchTime(name: name, seconds: span.1 - span.0)
        }
    }
}

extension VulkanBackend: ProfilingBackend {
    public func startProfile() throws(BackendError) {
        profile = nil
        guard device.physical.hasClock else { return }
        do {
            let made = try DispatchProfile(device)
            made.begin(in: stream)
            profile = made
        } catch { throw BackendError(error, doing: "for a profile") }
    }

    public func takeProfile() throws(BackendError) -> [DispatchTime] {
        guard let profile else { return [] }
        self.profile = nil
        try synchronize()
        do { return try profile.times() } catch { throw BackendError(error, doing: "while measuring") }
    }
}
