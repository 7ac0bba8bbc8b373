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

    public let limits: LedgerLimits
    /// Tokens of the longest prompt and answer together.
    public let contextLength: Int
    public let activations: ActivationLimits
    /// Visual tokens whose features are kept in memory; 0 for a text-only model.
    public let featureTokens: Int
    public let residency: Residency
    /// What each kind of pass is predicted with: with no higher limit is it more.
    public let passes: Residency.Passes
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
    /// Items that no backend draws: the process holds them.
    public static let heldByProcess: Set<String> = [program, pages, reading, spilling, reserve]

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

    /// By how many bytes the limit is too low.
    public var shortfall: Int { needed - limit }
}
