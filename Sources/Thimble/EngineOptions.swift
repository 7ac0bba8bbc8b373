//! How a model is loaded: what a caller sets, or a budget says.

public import Memory
public import SessionFiles
public import Tensors

/// How a model is loaded.
public struct EngineOptions: Sendable {
    public var device: DeviceChoice = .automatic
    /// Threads that compute; nil takes one for each core that this process may use, by its affinity and by
    /// the limits of its control group.
    public var threadCount: Int?
    /// The longest prompt and answer together, in tokens; nil takes what the model was made for, or what fits
    /// the limits.
    public var contextLength: Int?
    /// The longest context that is taken where none is asked for.
    public var contextCeiling: Int?
    /// How keys and values are stored.
    public var kvType = KVType.f16
    /// Tokens of a page of keys and values, one of `Budget.KV.pageTokenChoices`: sequences share whole pages,
    /// and long ones have fewer of larger ones. A GPU's fastest attention takes multiples of 16.
    public var pageTokens = 16
    /// How much memory may be taken. Layers that a GPU has no room for are computed by the processor, whose
    /// weights that do not fit are read from the file as they are used.
    public var limits = LedgerLimits()
    /// Where keys and values of sessions go that are not running, when memory has no room for them beside
    /// those of the one that is; nil keeps them all in memory.
    public var spill: SpillSettings?
    /// Tokens of a prompt that are computed together, and visual tokens of its images, where those of the
    /// largest one are not more; nil takes as many as are fast and fit.
    public var chunkTokens: Int?
    /// The most visual tokens that an image may become: larger ones are shrunk; nil takes what the model was
    /// made for.
    public var imageTokens: Int?
    /// The most bytes of memory for what the vision tower has made of images, which the sessions of an engine
    /// share; those of one image are always allowed. Nil takes what a context of images needs, or, under a
    /// limit on memory, an eighth of that at most.
    public var featureMemory: Int?
    /// The most bytes on disk for it, where it is for later runs; nil and 0 keep nothing there.
    public var featureDisk: Int?
    /// The folder for that, which nobody else may write to; nil takes `thimble/features` in the user's folder
    /// of caches.
    public var featureFolder: String?

    /// Whether weights that do not fit may be read from the file as they are used.
    public var mayStream = true
    /// Whether the processor may compute the layers that a GPU has no room for.
    public var mayOffload = true
    /// Layers that a GPU computes, the last ones of the decoder; the processor computes the others. Nil takes
    /// as many as fit.
    public var deviceLayerCount: Int?
    /// What is stated of the machine, for what was not measured of it.
    public var statedRates = Budget.Machine()
    /// When generating waits for the machine to cool; nil for never.
    public var governor: ThermalGovernor?

    /// Bytes that the process is taken to hold beside the engine; nil asks the system. For tests, whose
    /// process holds more from one moment to the next.
    var programByteCount: Int?
    /// The fewest rows that a GPU computes alone, layers of the processor included; nil asks what the
    /// machine's rates make of it.
    var passageRows: Int?
    /// Whether a GPU may fetch the processor's weights from where they lie.
    var reachesHost = true

    public init() {}

    /// What a budget allows. Its context is a ceiling: a model that was made for less takes less.
    /// Throws `inputMissing` where a sensor that it names is not there.
    public init(_ budget: Budget) throws(ThimbleError) {
        switch budget.run.device {
        case nil, .automatic: device = .automatic
        case .cpu: device = .cpu
        case .vulkan(let index): device = .vulkan(index)
        }
        threadCount = budget.run.threads ?? budget.machine.cores
        contextCeiling = budget.run.context
        limits = LedgerLimits(
            device: budget.memory.device?.bytes, host: budget.memory.host?.bytes,
            total: budget.memory.total?.bytes)
        chunkTokens = budget.run.prefillChunk
        imageTokens = budget.run.imageTokens
        kvType = budget.kv.type ?? .f16
        pageTokens = budget.kv.pageTokens ?? pageTokens
        spill = budget.spill.folder.map {
            SpillSettings(
                folder: $0, byteLimit: budget.spill.size?.bytes,
                writtenADay: budget.spill.writtenADay?.bytes)
        }
        mayStream = budget.run.offload != Budget.Offload.none
        mayOffload = [nil, .automatic, .cpu].contains(budget.run.offload)
        deviceLayerCount = budget.run.deviceLayers
        featureMemory = budget.features.memory?.bytes
        featureDisk = budget.features.disk?.bytes
        statedRates = budget.machine
        governor = try ThermalGovernor(budget.thermal)
    }
}

extension ThimbleError {
    /// A budget that cannot be read, or says what none says.
    public init(_ error: BudgetError) {
        let code: Code =
            switch error.code {
            case .unreadable: .inputMissing
            case .malformed: .invalidArgument
            case .outOfMemory: .outOfMemory
            }
        self.init(code, error.description)
    }
}
