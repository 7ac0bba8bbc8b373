//! What `plan` says of how fast a plan will run.

import Thimble

/// A prediction as `plan --json` prints it.
struct PredictionReport: Encodable {
    struct Stage: Encodable {
        var seconds: Double
        /// What its parts would take alone.
        var diskSeconds: Double
        var memorySeconds: Double
        var computingSeconds: Double
        /// Which of them is waited for longest.
        var bound: String

        init(_ stage: PlanPrediction.Stage) {
            seconds = stage.seconds
            diskSeconds = stage.disk
            memorySeconds = stage.memory
            computingSeconds = stage.computing
            bound = stage.bound.rawValue
        }
    }

    struct Rates: Encodable {
        var memory: String
        var disk: String
        var computing: String
    }
    var load: Stage
    var promptTokens: Int
    var firstToken: Stage
    var prefill: Stage
    var prefillTokensPerSecond: Double
    var token: Stage
    var tokensPerSecond: Double
    var pageTokens: Int?
    var image: Stage?
    var pageFirstToken: Stage?
    var rates: Rates

    init(_ prediction: PlanPrediction, _ withMore: (byteCount: Int, prediction: PlanPrediction)?) {
        load = Stage(prediction.load)
        promptTokens = prediction.promptTokens
        firstToken = Stage(prediction.firstToken)
        prefill = Stage(prediction.prefill)
        prefillTokensPerSecond = prediction.prefillTokensPerSecond
        token = Stage(prediction.token)
        tokensPerSecond = prediction.tokensPerSecond
        pageTokens = prediction.pageTokens
        image = prediction.image.map(Stage.init)
        pageFirstToken = prediction.pageFirstToken.map(Stage.init)
        rates = Rates(
            memory: prediction.rates.memoryOrigin.rawValue, disk: prediction.rates.diskOrigin.rawValue,
            computing: prediction.rates.computingOrigin.rawValue)
    }

    func lines(_ row: (String, String) -> String) -> [String] {
        [row("decode", "\(tokensPerSecond.fixed(2)) tokens/s \(token.bound)")]
    }
}
