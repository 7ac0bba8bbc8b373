//! What `thimble doctor` looks at: the facts of a machine, apart from what is made of them.

public import Documents

/// What was observed of a machine and of what is to run on it. Sizes are bytes.
///
/// Facts only: ``findings`` says what is well and what is to be mended, and needs no machine for that.
public struct MachineFacts: Sendable, Equatable {
    /// A folder that Thimble writes to.
    public struct Folder: Sendable, Equatable {
        /// What it is for.
        public enum Purpose: String, Sendable, CaseIterable {
            /// Compiled shaders, what was measured, and features of pages: all of it may be lost.
            case cache
            /// Keys and values that memory has no room for.
            case spill
            /// Saved conversations.
            case sessions
        }

        public var purpose: Purpose
        public var path: String
        /// Why it cannot be written to; nil where it can, or can be made.
        public var fault: String?
        /// What the file system has left for this user; nil where it does not say.
        public var freeByteCount: Int?
        /// What the budget lets lie there; nil where it sets no limit.
        public var allowedByteCount: Int?
        /// Whether the disk is read past the system's cache of files; nil where that could not be tried.
        public var readsDirectly: Bool?

        public init(_ purpose: Purpose, path: String) {
            self.purpose = purpose
            self.path = path
        }
    }

    /// A way to a GPU that the kernel shows.
    public struct RenderNode: Sendable, Equatable {
        public var path: String
        /// Whether this user may read and write it.
        public var mayBeOpened: Bool

        public init(path: String, mayBeOpened: Bool) {
            self.path = path
            self.mayBeOpened = mayBeOpened
        }
    }

    /// A program that reads kinds of documents which Thimble does not read itself.
    public struct Helper: Sendable, Equatable {
        public var name: String
        /// Where it lies; nil where it is not there.
        public var path: String?

        public init(name: String, path: String? = nil) {
            self.name = name
            self.path = path
        }
    }

    /// The model that would be taken.
    public struct Model: Sendable, Equatable {
        public var path: String
        public var byteCount: Int?
        /// Why it cannot be used; nil where every checksum holds.
        public var fault: String?
        /// Whether its disk is read past the system's cache of files; nil where that could not be tried.
        public var readsDirectly: Bool?

        public init(path: String) { self.path = path }
    }

    /// What a model may run on, the CPU first.
    public var devices: [DeviceDescription] = []
    /// Why Vulkan shows no device.
    public var vulkanFault: String?
    /// Whether libvulkan.so.1 is found.
    public var hasVulkanLoader = false
    /// The manifests of Vulkan's drivers, where its library looks for them.
    public var driverManifests: [String] = []
    public var renderNodes: [RenderNode] = []
    /// Whether a GPU was asked for by name: what keeps it from running is a fault then.
    public var wantsGPU = false

    /// Why the budget cannot be used.
    public var budgetFault: String?
    /// The budget's limit on the process; nil where there is none.
    public var hostLimit: Int?
    /// The machine's memory.
    public var installedMemory = 0
    /// What programs may still take of it, as the system reckons; nil where it does not say.
    public var availableMemory: Int?
    /// The least limit of the control groups that this process is in; nil where there is none.
    public var groupLimit: Int?
    /// The limit on the process's address space (RLIMIT_AS); nil where there is none.
    public var addressLimit: Int?
    /// Why a sensor of the budget cannot be held to.
    public var sensorFault: String?

    public var folders: [Folder] = []
    /// The fonts that pages are drawn with.
    public var fonts: [PageSettings.NamedFont] = []
    /// Whether pages in Chinese, Japanese and Korean can be drawn with the usual font for them.
    public var hasCJKFont = false
    public var helpers: [Helper] = []
    /// Libraries that DOCX and Markdown are read with, which are not here.
    public var missingLibraries: [DocumentLibrary] = []
    /// Nil where none was named and none is bundled.
    public var model: Model?

    /// Nothing was observed.
    public init() {}
}

/// What an examination finds of one thing.
public struct Finding: Sendable, Equatable {
    /// How it stands.
    public enum Verdict: String, Sendable, Encodable {
        case pass
        /// Thimble runs, but with less than the machine could give, or not everything can be done.
        case warn
        /// What was asked for cannot run.
        case fail
    }

    /// What was looked at.
    public var check: String
    public var verdict: Verdict
    public var message: String
    /// What to do about it; there is one for every verdict but `pass`.
    public var mend: String?

    static func pass(_ check: String, _ message: String) -> Finding {
        Finding(check: check, verdict: .pass, message: message)
    }

    static func warn(_ check: String, _ message: String, mend: String) -> Finding {
        Finding(check: check, verdict: .warn, message: message, mend: mend)
    }

    static func fail(_ check: String, _ message: String, mend: String) -> Finding {
        Finding(check: check, verdict: .fail, message: message, mend: mend)
    }
}
