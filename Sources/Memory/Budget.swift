//! What a user allows: the memory, the device and the habits of one machine.

public import Tensors

/// What a user allows, and what is known of the machine.
///
/// Every field is optional: what a budget leaves out is decided by the next budget it is merged over, and
/// in the end by the program. `docs/budgets.md` says what each key means; ``keys`` lists them all.
public struct Budget: Sendable, Equatable {
    /// A name for people; for a profile that of its file.
    public var name: String?
    /// One sentence about the machine.
    public var summary: String?
    /// Where the figures come from.
    public var sources: [String]?
    /// How much memory may be taken.
    public var memory = Allowance()
    /// How the model runs.
    public var run = Run()
    /// How keys and values are kept.
    public var kv = KV()
    /// Where cold keys and values go.
    public var spill = Spill()
    /// Where sessions are saved, and for how long.
    public var sessions = Sessions()
    /// What may be kept of what the vision tower made of pages.
    public var features = Features()
    /// How pages are drawn: the keys of the page settings, which this module passes on unread. Nil where no
    /// `[pages]` is stated.
    public var pages: [String: PageValue]?
    /// What is known of the machine, for planning.
    public var machine = Machine()
    /// When the machine is to be spared.
    public var thermal = Thermal()

    /// A budget that says nothing.
    public init() {}
}

extension Budget {
    /// `[memory]`: limits on memory.
    public struct Allowance: Sendable, Equatable {
        /// Of a GPU's memory.
        public var device: ByteSize?
        /// Of the process's memory.
        public var host: ByteSize?
        /// Of both together, for boards whose GPU and CPU share the same memory chips.
        public var total: ByteSize?

        /// No limit.
        public init() {}
    }

    /// `[run]`: how the model runs.
    public struct Run: Sendable, Equatable {
        /// The longest prompt and answer together, in tokens.
        public var context: Int?
        /// Threads that compute.
        public var threads: Int?
        /// Where the model runs.
        public var device: Device?
        /// What is done with layers that do not fit.
        public var offload: Offload?
        /// Layers that a GPU computes; the CPU computes the others.
        public var deviceLayers: Int?
        /// Tokens of the prompt that are computed at once, and visual tokens of its images.
        public var prefillChunk: Int?
        /// The most visual tokens that an image may become.
        public var imageTokens: Int?

        /// Nothing is said.
        public init() {}
    }

    /// Where a model runs.
    public enum Device: Sendable, Equatable {
        /// The first GPU that can be used, else the CPU.
        case automatic
        case cpu
        /// The Vulkan device of that number; the first that can be used where none is given.
        case vulkan(Int?)
    }

    /// What is done with layers that do not fit in a device's memory.
    public enum Offload: String, Sendable, CaseIterable {
        /// What the plan finds best.
        case automatic = "auto"
        /// Nothing: what does not fit is refused.
        case none
        /// They are computed on the CPU.
        case cpu
        /// They are read from the file each time they are needed.
        case stream
    }

    /// `[kv]`: how keys and values are kept.
    public struct KV: Sendable, Equatable {
        /// The form of a key or a value.
        public var type: KVType?
        /// Tokens of a page: a power of two.
        public var pageTokens: Int?
        /// What that may be.
        public static var pageTokenChoices: [Int] {
            MemoryLimits.pageTokenCount.filter { $0.nonzeroBitCount == 1 }
        }

        /// Nothing is said.
        public init() {}
    }

    /// `[spill]`: where keys and values go that memory has no room for.
    public struct Spill: Sendable, Equatable {
        /// The folder; without one nothing is written.
        public var folder: String?
        /// The most that lies there at a time.
        public var size: ByteSize?
        /// The most that is written there in a day, for flash memory wears.
        public var writtenADay: ByteSize?

        /// Nothing is said.
        public init() {}
    }

    /// `[sessions]`: what is kept of sessions that were saved.
    public struct Sessions: Sendable, Equatable {
        /// The folder; without one they lie in the user's folder of state.
        public var folder: String?
        /// The most bytes of all together: those that were not used for the longest make way.
        public var size: ByteSize?
        /// Days after which one that is not used is removed.
        public var days: Int?
        /// The most that saving writes in a day.
        public var writtenADay: ByteSize?

        /// Nothing is said.
        public init() {}
    }

    /// `[features]`: the cache of what the vision tower made of pages.
    public struct Features: Sendable, Equatable {
        /// The most of it in memory.
        public var memory: ByteSize?
        /// The most of it on disk, in the user's folder of caches.
        public var disk: ByteSize?

        /// Nothing is said.
        public init() {}
    }

    /// `[machine]`: what is known of the machine. Rates are bytes a second.
    public struct Machine: Sendable, Equatable {
        /// At which the CPU reads memory.
        public var hostBandwidth: ByteSize?
        /// At which the GPU reads its memory.
        public var deviceBandwidth: ByteSize?
        /// At which memory of the host goes to the GPU.
        public var busBandwidth: ByteSize?
        /// At which a file is read.
        public var diskBandwidth: ByteSize?
        /// Cores of the CPU that are worth computing on.
        public var cores: Int?

        /// Nothing is known.
        public init() {}
    }

    /// `[thermal]`: when the machine is to be spared.
    public struct Thermal: Sendable, Equatable {
        /// The folder of a thermal zone, below `/sys/class/thermal`.
        public var zone: String?
        /// The temperature of the zone that is not to be passed, in degrees Celsius.
        public var ceilingCelsius: Double?
        /// A file below `/sys` that holds the power taken, in microwatts.
        public var powerFile: String?
        /// The power that is not to be passed, in watts.
        public var ceilingWatts: Double?

        /// Nothing is said.
        public init() {}
    }
}

extension Budget.Device: LosslessStringConvertible {
    /// Parses `auto`, `cpu`, `vulkan` or `vulkan:N`.
    public init?(_ text: String) {
        switch text {
        case "auto": self = .automatic
        case "cpu": self = .cpu
        case "vulkan": self = .vulkan(nil)
        default:
            let parts = text.split(separator: ":", omittingEmptySubsequences: false)
            guard parts.count == 2, parts[0] == "vulkan", parts[1].allSatisfy({ ("0"..."9").contains($0) }),
                let number = Int(parts[1]), MemoryLimits.deviceNumber.contains(number)
            else { return nil }
            self = .vulkan(number)
        }
    }

    /// As it is parsed.
    public var description: String {
        switch self {
        case .automatic: "auto"
        case .cpu: "cpu"
        case .vulkan(let number): number.map { "vulkan:\($0)" } ?? "vulkan"
        }
    }
}

extension Budget {
    /// This budget where it says something, `base` where it does not, key by key: flags over the environment
    /// over a file. What two valid budgets make may contradict itself, so it is for ``validate(file:)``.
    public func merged(over base: Budget) -> Budget {
        var merged = base
        for key in Self.keys { key.copy(self, &merged) }
        if let pages { merged.pages = (base.pages ?? [:]).merging(pages) { _, mine in mine } }
        return merged
    }
}
