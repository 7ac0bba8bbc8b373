//! `thimble plan`: who would live where in memory, before anything is loaded.

import ArgumentParser
import Thimble

struct PlanCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "plan",
        abstract: "Say how a model will run within a limit on memory.",
        discussion: """
            Nothing is loaded. Where nothing fits, the exit status is 3, and what would fit is said. A \
            config.json in place of a model file plans for that model as it would be converted.

            How fast the plan will run is predicted with what thimble devices --measure has found; where \
            it has not been run, with what the budget states of the machine, or with guesses.

            Examples:
              thimble plan model.thimble --host-memory 2GiB
              thimble plan model.thimble --host-memory 900MiB --context 4096 --json
              thimble plan model.thimble --budget raspberrypi-5-8gb --other-machine
              thimble plan model.thimble --host-memory 1GiB --emit-config > model.toml
            """)

    @Argument(
        help: "The model file, or the config.json of a model that is yet to be converted.",
        completion: .file(extensions: ["thimble", "json"]))
    var model: String

    @Option(help: "How the weights of a config.json would be stored.")
    var weights = WeightChoice.q4

    @Option(help: "Inputs that would share a scale: 32, 64 or 128.")
    var group = 32

    @Flag(help: "Print one JSON object.")
    var json = false

    @Flag(help: "Print a budget that leads to this plan, and nothing else.")
    var emitConfig = false

    @Option(
        name: [.customShort("p"), .customLong("prompt-tokens")],
        help: "Tokens of the prompt whose first token is predicted.")
    var promptTokens = 512

    @Flag(help: "Predict for a machine as the budget states it, not for this one as it was measured.")
    var otherMachine = false

    @OptionGroup var engineFlags: EngineFlags

    func validate() throws {
        if json && emitConfig { throw ValidationError("--json and --emit-config exclude each other") }
    }

    func run() throws {
        let budget = try engineFlags.merged()
        var expectations = OutlookOptions()
        expectations.stated = budget.machine
        expectations.isForThisMachine = !otherMachine
        expectations.promptTokens = promptTokens
        let outlook = try Engine.outlook(of: subject, options: engineFlags.options(budget), expectations)
        if emitConfig {
            let config = outlook.plan.budget(over: budget, threadCount: outlook.threadCount)
            return try StandardStream.output.write(config.toml)
        }
        let report = PlanReport(outlook)
        if json { return try StandardStream.output.write(report.json()) }
        try StandardStream.output.write(report.text)
    }
}

extension PlanCommand {
    private var subject: PlanSubject {
        guard model.hasSuffix(".json") else { return .file(model) }
        var conversion = ConversionOptions()
        conversion.weights = weights
        conversion.group = group
        return .configuration(model, conversion)
    }
}
