//! Decoding without the host: a step is recorded once, and run again and again on the device.

/// What a step's sizes depend on.
public struct StepShape: Sendable {
    /// The most positions of a sequence.
    public let contextLength: Int
    /// Tokens in a page of keys and values.
    public let pageTokens: Int
    /// How keys and values are stored.
    public let kvType: KVType
    public let vocabularySize: Int
    public let queryHeads: Int
    public let kvHeads: Int
    public let headSize: Int
    /// `[pairs]`: by how much each pair of dimensions turns from one position to the next.
    public let frequencies: [Float]

    /// Precondition: all counts are positive.
    public init(
        contextLength: Int, pageTokens: Int, kvType: KVType = .f16, vocabularySize: Int, queryHeads: Int,
        kvHeads: Int, headSize: Int, frequencies: [Float]
    ) {
        precondition(contextLength > 0 && pageTokens > 0 && vocabularySize > 0 && headSize > 0)
        precondition(kvHeads > 0 && queryHeads % kvHeads == 0)
        self.contextLength = contextLength
        self.pageTokens = pageTokens
        self.kvType = kvType
        self.vocabularySize = vocabularySize
        self.queryHeads = queryHeads
        self.kvHeads = kvHeads
        self.headSize = headSize
        self.frequencies = frequencies
    }
}

/// How a token is drawn from logits: the sampler's parameters, checked by who made them.
public struct DrawParameters: Sendable, Equatable {
    /// 0 takes the likeliest.
    public var temperature: Float
    /// 0 keeps all.
    public var topK: Int
    public var topP: Float
    public var minP: Float
    public var repetitionPenalty: Float
    public var frequencyPenalty: Float
    public var presencePenalty: Float
    /// The state of SplitMix64 before the first draw.
    public var seed: UInt64

    public init(
        temperature: Float, topK: Int, topP: Float, minP: Float, repetitionPenalty: Float,
        frequencyPenalty: Float, presencePenalty: Float, seed: UInt64
    ) {
        self.temperature = temperature
        self.topK = topK
        self.topP = topP
        self.minP = minP
        self.repetitionPenalty = repetitionPenalty
        self.frequencyPenalty = frequencyPenalty
        self.presencePenalty = presencePenalty
        self.seed = seed
    }

    public var isPenalised: Bool { repetitionPenalty != 1 || frequencyPenalty != 0 || presencePenalty != 0 }

    /// What decides which operations a draw takes; the rest are numbers that they read.
    public struct Kind: Hashable, Sendable {
        public let isGreedy: Bool
        public let hasTopK: Bool
        public let hasTopP: Bool

        public init(isGreedy: Bool, hasTopK: Bool, hasTopP: Bool) {
            self.isGreedy = isGreedy
            self.hasTopK = hasTopK
            self.hasTopP = hasTopP
        }
    }
    public var kind: Kind {
        Kind(
            isGreedy: temperature == 0, hasTopK: temperature > 0 && topK > 0,
            hasTopP: temperature > 0 && topP < 1)
    }
}

/// What a step reads and the next one finds moved on, in a backend's memory: a sequence's last token and its
/// place, the pages of its keys and values, and how tokens are drawn.
public protocol StepState: AnyObject {}

/// Operations that a backend can run again without being asked one by one.
public protocol RecordedStep: AnyObject {}

/// A backend that can decode by itself. All its steps are of one state at a time.
public protocol SteppingBackend: Backend {
    /// Whether steps of that shape can be recorded here, with these layouts of the matrices before
    /// and after attention. Whatever else a step asks for can be.
    func canRecord(_ shape: StepShape, besideAttention layouts: [WeightLayout]) -> Bool
    /// A state of no sequence yet. Everything it will ever need is made here.
    func makeStepState(_ shape: StepShape) throws(BackendError) -> any StepState

    /// Makes `state` that of a sequence of `length` positions whose next token is yet to be drawn, and will
    /// stand at the rotary position `rotaryPosition`. `seen` are the tokens that the repetition penalty
    /// knows, `drawn` those that the other penalties do, as often as they were drawn.
    ///
    /// Precondition: the table has room for every step until the next call of this or of `setPages`.
    func begin(
        _ state: any StepState, length: Int, rotaryPosition: Int, pages: BlockTable, draw: DrawParameters,
        seen: some Sequence<Int32>, drawn: some Sequence<Int32>)
    /// Brings pages that were added to the table.
    func setPages(_ pages: BlockTable, of state: any StepState)

    /// Draws the next token from `logits`, `[1, vocabulary]`, and moves the state on: the token stands at
    /// `length`, which is then one more.
    func draw(from logits: Activation, _ kind: DrawParameters.Kind, _ state: any StepState)
    /// The embedding of the state's token into `residual`, `[1, columns]`, and its angles into the state.
    func beginStep(_ state: any StepState, table: Matrix, into residual: Activation)
    /// The angles alone, of a step whose residual is brought before it runs.
    func beginStep(_ state: any StepState)
    /// Records what `body` asks for. Positions, lengths, angles and block tables in it are of no meaning: the
    /// state's are taken when the step runs. All activations in it have one row. What attention computes is
    /// projected next, and read by nothing else.
    func record(_ state: any StepState, _ body: () -> Void) throws(BackendError) -> any RecordedStep
    /// Queues `count` runs of a step. Precondition: `count` is in 1...64.
    func run(_ step: any RecordedStep, count: Int)
    /// Waits for everything, and lends the tokens drawn since `begin`, from number `first` on: a negative one
    /// could not be drawn, for no logit was a number.
    ///
    /// Precondition: no more than 64 of them.
    func readTokens(
        of state: any StepState, from first: Int, count: Int, _ body: (Span<Int32>) -> Void
    ) throws(BackendError)
}
