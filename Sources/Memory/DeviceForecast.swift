//! What a GPU beside the processor takes in time.

internal import Tensors

/// The part of a forecast that is a GPU's: nothing where there is none.
///
/// How fast a GPU multiplies is not measured; it is taken to be as fast as most are that read their memory so
/// fast.
struct DeviceForecast {
    private let plan: Plan
    private let work: ModelWork
    private let rates: MachineRates
    /// The share of the decoder's layers that the processor computes.
    let hostShare: Double
    /// Bytes of weights that the processor goes through for a token.
    let hostByteCount: Int
    /// Rows from which on the GPU computes the processor's layers, too.
    private let leastRows: Int

    /// Multiply-adds for each byte of its memory that a GPU reads in the same time.
    private static let productsOfByte = 25.0
    /// Seconds from the processor's last layer to the token that the GPU draws, beside what it reads.
    private static let handingOver = 150e-6

    init(_ plan: Plan, _ work: ModelWork, _ rates: MachineRates) {
        self.plan = plan
        self.work = work
        self.rates = rates
        let isShared = plan.parts.count > 1
        let layers = plan.parts[0].share.layers
        hostShare = isShared ? Double(layers.count) / Double(work.layerCount) : 1
        hostByteCount =
            isShared ? work.inventory.byteCount(of: work.inventory.decoder[layers]) : plan.decodedByteCount
        leastRows = plan.hasPassage ? plan.rowsWorthBringing(of: work, on: rates) : .max
    }

    private var isShared: Bool { hostShare < 1 || plan.parts.count > 1 }

    private func stage(memory: Double, computing: Double) -> PlanPrediction.Stage {
        var stage = PlanPrediction.Stage()
        stage.memory = memory
        stage.computing = computing
        stage.seconds = memory + computing
        return stage
    }

    /// Seconds of that many multiply-adds.
    private func seconds(_ products: ModelWork.Products, _ rows: Int) -> Double {
        Double(rows) * (products.fourBit + products.eightBit + products.floats)
            / (rates.device * Self.productsOfByte)
    }

    private var deviceByteCount: Double { Double(plan.decodedByteCount - hostByteCount) }

    /// A token after `length` others, through the GPU's layers.
    func token(after length: Int) -> PlanPrediction.Stage {
        guard isShared else { return PlanPrediction.Stage() }
        let keys = Double(work.keyByteCount) * (1 - hostShare) * Double(length)
        return stage(memory: (deviceByteCount + keys) / rates.device, computing: Self.handingOver)
    }

    /// Rows of a prompt through the GPU's layers.
    func chunk(_ rows: Int) -> PlanPrediction.Stage {
        guard isShared else { return PlanPrediction.Stage() }
        return stage(
            memory: deviceByteCount / rates.device, computing: (1 - hostShare) * seconds(work.layers, rows))
    }

    /// How many of `count` rows are computed together next.
    func rowsTogether(of count: Int) -> Int {
        let chunk = min(count, plan.activations.chunkTokens)
        return chunk >= leastRows ? chunk : min(chunk, plan.activations.unbroughtTokens ?? chunk)
    }

    /// Rows of a prompt through the processor's layers, which are brought to the GPU: what bringing them
    /// takes from the host's memory on, and what computing with them does, both at once. Seconds; nil for so
    /// few rows that the processor computes its own.
    func bringing(_ rows: Int) -> (way: Double, computing: Double)? {
        guard rows >= leastRows else { return nil }
        return (plan.secondsToBring(work, rates), hostShare * seconds(work.layers, rows))
    }

    /// So many images through the tower together; nil where that is the processor's.
    func images(_ count: Int, of tokens: Int, _ vision: ModelWork.Vision) -> PlanPrediction.Stage? {
        guard plan.parts.contains(where: { $0.place == .device && $0.share.hasTower }) else { return nil }
        let each = Double(tokens * vision.patchesPerToken)
        let pairs = Double(count) * each * each * Double(2 * vision.width * vision.blockCount)
        return stage(
            memory: 0,
            computing: seconds(vision.patch, count * tokens * vision.patchesPerToken)
                + seconds(vision.token, count * tokens)
                + pairs / (rates.device * Self.productsOfByte))
    }
}
