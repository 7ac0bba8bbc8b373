//! A backend that can say where its time goes.

/// How long a device took for one of the runs of a shader that an operation is made of.
public struct DispatchTime: Sendable {
    /// The shader, and the shape that it was asked for.
    public let name: String
    /// From the end of the dispatch before to the end of this one: launching it and waiting are in it.
    public let seconds: Double

    public init(name: String, seconds: Double) {
        self.name = name
        self.seconds = seconds
    }
}

/// A backend whose device has a clock of its own.
public protocol ProfilingBackend: Backend {
    /// Keeps from here on how long each dispatch takes. Nothing is kept where the device has no clock.
    func startProfile() throws(BackendError)
    /// Waits for everything, and returns what was kept since `startProfile`, in order; of dispatches that
    /// were recorded meanwhile, what their last run took. Nothing is kept from here on.
    func takeProfile() throws(BackendError) -> [DispatchTime]
}
