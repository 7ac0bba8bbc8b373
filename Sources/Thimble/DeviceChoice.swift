//! Where a model runs, as it is asked for.

/// Where a model runs.
public enum DeviceChoice: Sendable, Equatable {
    /// The first GPU that Vulkan shows and Thimble can use, else the CPU.
    case automatic
    case cpu
    /// The Vulkan device of that number, as `DeviceDescription.available` counts them; the first that can be
    /// used where none is given.
    case vulkan(Int?)

    /// Parses `auto`, `cpu`, `vulkan` or `vulkan:N`.
    public init(_ name: String) throws(ThimbleError) {
        switch name {
        case "auto": self = .automatic
        case "cpu": self = .cpu
        case "vulkan": self = .vulkan(nil)
        default:
            let parts = name.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "vulkan", let index = Int(parts[1]), index >= 0 else {
                throw ThimbleError(
                    .noDevice, "there is no device '\(name)'; it must be auto, cpu, vulkan or vulkan:N")
            }
            self = .vulkan(index)
        }
    }
}
