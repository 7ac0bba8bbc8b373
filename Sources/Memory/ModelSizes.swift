//! What a planner is told of a model.

public import Tensors

/// How much memory the parts of a model take, in bytes, for whatever sizes are chosen.
public struct ModelSizes {
    public let inventory: WeightInventory
    /// Layers of the decoder.
    public let layerCount: Int
    /// Where weights, keys and values, and activations live: in a GPU's memory, or the process's. What a GPU
    /// has no room for may live in the process's.
    public let place: MemoryPlace
    /// The longest context that the model was made for.
    public let maximumContext: Int
    /// The most visual tokens that an image of any size becomes; 0 for a text-only model.
    public let maximumImageTokens: Int
    /// What the process holds before anything of the model is loaded.
    public let program: Int
    /// What the process is allowed to grow by beside the ledger's pieces.
    public let reserve: Int
    /// What reading weights takes beside where they go, at most so many bytes at once; nil for whole
    /// segments.
    public let reading: (_ mostFill: Int?) -> Int
    /// What the way of keys and values to disk and back takes.
    public let spilling: Int
    /// Tokens of a page of keys and values.
    public let pageTokens: Int
    /// Keys and values of so many layers of a context; nil where no number is large enough.
    public let keysAndValues: (_ contextLength: Int, _ layerCount: Int) -> Int?
    /// Activations of a share of the model.
    public let activations: (_ contextLength: Int, ActivationLimits, ModelShare, MemoryPlace) -> Int
    /// Bytes of a norm's weights.
    public let normBytes: Int
    /// Features of a visual token; 0 for a text-only model.
    public let featureTokenBytes: Int
    /// Pixels that become a visual token; 0 for a text-only model.
    public let pageTokenBytes: Int

    /// What the process holds beside pages' images, wherever the model computes.
    func process(mostFill: Int? = nil) -> Int { program + reserve + reading(mostFill) + spilling }

    public init(
        inventory: WeightInventory, layerCount: Int, place: MemoryPlace, maximumContext: Int,
        maximumImageTokens: Int, program: Int, reserve: Int, reading: @escaping (Int?) -> Int,
        spilling: Int = 0, pageTokens: Int = 16,
        keysAndValues: @escaping (Int, Int) -> Int?,
        activations: @escaping (Int, ActivationLimits, ModelShare, MemoryPlace) -> Int,
        normBytes: Int, featureTokenBytes: Int, pageTokenBytes: Int
    ) {
        self.inventory = inventory
        self.layerCount = layerCount
        self.place = place
        self.maximumContext = maximumContext
        self.maximumImageTokens = maximumImageTokens
        self.program = program
        self.reserve = reserve
        self.reading = reading
        self.spilling = spilling
        self.pageTokens = pageTokens
        self.keysAndValues = keysAndValues
        self.activations = activations
        self.normBytes = normBytes
        self.featureTokenBytes = featureTokenBytes
        self.pageTokenBytes = pageTokenBytes
    }
}
