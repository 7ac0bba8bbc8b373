//! A plan: who lives where in memory, decided and explained before anything is taken.

public import Tensors

/// How a model will run within limits.
public struct Plan: Sendable, Equatable {
    /// A piece of memory that will be drawn from the ledger.
    public struct Item: Sendable, Equatable {
        public let name: String
        public let place: MemoryPlace
        public let byteCount: Int
    }

    /// A share of the model, who computes it, and where its weights live.
    public struct Part: Sendable, Equatable {
        /// Where it is computed: by a GPU, or the processor.
        public let place: MemoryPlace
        public let share: ModelShare
        public let residency: Residency
        /// The most bytes that are brought there at once; nil for whole segments.
        public let mostFill: Int?
    }

    public let limits: LedgerLimits
    /// Tokens of the longest prompt and answer together.
    public let contextLength: Int
    public let activations: ActivationLimits
    /// Visual tokens whose features are kept in memory; 0 for a text-only model.
    public let featureTokens: Int
    /// In the order that a token goes through them.
    public let parts: [Part]
    /// What each kind of pass brings of the part that tokens enter by, as it is predicted: where one device
    /// has all, with no higher limit is it more.
    public let passes: Residency.Passes
    /// Whether a GPU computes the processor's layers, too, for many rows: their weights are brought to it one
    /// after the other.
    public let hasPassage: Bool
    /// Every piece, in the order in which they are taken.
    public let items: [Item]
    /// Bytes of the file that decoding a token reads.
    public let streamedByteCount: Int
    /// Bytes of the file that encoding an image reads, when the last one encoded was no other's turn.
    public let streamedVisionByteCount: Int
    /// Bytes of weights that decoding a token goes through, wherever they are.
    public let decodedByteCount: Int

    static let program = "program and tokenizer"
    static let pages = "page images"
    static let reading = "reading weights"
    static let spilling = "pages on their way"
    static let reserve = "reserve"
    static let layersOnTheirWay = "layers on their way"
    static let keysOnTheirWay = "keys and values on their way"
    /// Items that no backend draws: the process holds them.
    public static let heldByProcess: Set<String> = [program, pages, reading, spilling, reserve]

    /// Of the part that tokens enter by: where there are two, the only one whose weights may come and go.
    public var residency: Residency { parts[0].residency }

    /// Layers that the processor computes beside a GPU; 0 where one of both has all.
    public var offloadedLayerCount: Int { parts.count > 1 ? parts[0].share.layers.count : 0 }

    /// Bytes that the plan takes.
    public func byteCount(_ place: MemoryPlace) -> Int {
        items.reduce(0) { $0 + ($1.place == place ? $1.byteCount : 0) }
    }
}

/// Why there is no plan, and what would make one.
public struct PlanRefusal: Error, Sendable, Equatable {
    /// Which limit is too low.
    public let place: MemoryPlace
    public let limit: Int
    /// The least limit with which what was asked for can run.
    public let needed: Int
    /// The largest context that fits the limit as it is; nil where none does.
    public let contextLength: Int?
    /// The most visual tokens of an image that fit the limit as it is; nil where that does not help.
    public let imageTokens: Int?
    /// The least limit on the other place with which it can run while this one is as it is; nil where none
    /// helps.
    public var otherNeeded: Int?
    /// Whether that and the limit on this place are to be raised together.
    public var needsBoth = false
    /// The most layers that a GPU can have within the limits as they are, where more were asked for; nil
    /// where fewer do not help.
    public var deviceLayerCount: Int?

    /// By how many bytes the limit is too low.
    public var shortfall: Int { needed - limit }
}
