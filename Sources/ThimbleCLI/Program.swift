//! The program's entry: runs the command, and turns every error into one line and an exit status.

import ArgumentParser
import Glibc
import Thimble

@main
struct Program: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "thimble",
        abstract: "Read long documents with a small vision-language model, on this machine.",
        discussion: """
            Examples:
              thimble read letter.txt -q "What does it ask for?"
              thimble run model.thimble "Describe the picture." --image photo.jpg
              thimble chat model.thimble

            Answers go to standard output, everything else to standard error. Environment: THIMBLE_MODEL, \
            THIMBLE_THREADS, THIMBLE_DEVICE, THIMBLE_CONTEXT, THIMBLE_KV, THIMBLE_HOST_MEMORY, \
            THIMBLE_DEVICE_MEMORY, THIMBLE_BUDGET, THIMBLE_FEATURE_CACHE; flags win over them.
            """,
        version: "thimble \(Version.string)",
        subcommands: [
            RunCommand.self, ChatCommand.self, ReadCommand.self, ConvertCommand.self, InspectCommand.self,
            TokenizeCommand.self, LogitsCommand.self, BenchCommand.self, PlanCommand.self,
            DevicesCommand.self, DoctorCommand.self, SessionCommand.self, ManualCommand.self,
        ])

    /// Says what is here and what to do next; nothing is loaded.
    func run() throws {
        var lines = ["thimble \(Version.string)", ""]
        for device in DeviceDescription.available {
            lines.append(
                "device   \(device.name), \(device.title), \(device.kernels) kernels"
                    + (device.vulkan?.rejection.map { ", not usable: \($0)" } ?? ""))
        }
        lines += [
            "budget   \(BudgetInForce.line)",
            "model    \(Environment.model ?? DefaultModel.bundled ?? "none found; read --help says where")",
            "",
            "next     thimble doctor",
            "         thimble plan MODEL --host-memory 2GiB",
            "         thimble read FILE -q \"QUESTION\"",
        ]
        try StandardStream.output.write(lines.map { $0.onOneLine + "\n" }.joined())
    }

    static func main() {
        Interrupt.install()
        let status: ExitStatus
        do {
            var command = try parseAsRoot()
            try command.run()
            status = .success
        } catch {
            status = report(error)
        }
        Glibc.exit(status.rawValue)
    }

    /// Tells the person what went wrong, and says how the program ends.
    private static func report(_ error: any Error) -> ExitStatus {
        let failure: Failure
        switch error {
        case let error as Failure: failure = error
        case let error as ThimbleError where error.code == .cancelled:
            failure = Interrupt.take() ?? Failure(.interrupted)
        case let error as ThimbleError: failure = Failure(error)
        default:
            switch exitCode(for: error) {
            case .success:
                // Help, the version, or a completion script was asked for.
                do throws(Failure) {
                    try StandardStream.output.write(fullMessage(for: error) + "\n")
                    return .success
                } catch {
                    failure = error
                }
            case .validationFailure:
                failure = .usage("\(unknownCommand ?? message(for: error)); see thimble \(helpCommand)--help")
            default: failure = Failure(.internalFault, "internal: \(error)")
            }
        }
        if let message = failure.advice { StandardStream.note("thimble: \(message)") }
        return failure.status
    }

    /// That the command line names a command which is none, and what there is; nil where it does not.
    private static var unknownCommand: String? {
        let words = CommandLine.arguments.dropFirst().prefix(2)
        var (command, path): (any ParsableCommand.Type, String) = (Program.self, "thimble")
        for word in words where !command.configuration.subcommands.isEmpty {
            let known = command.configuration.subcommands
            if let named = known.first(where: { $0._commandName == word }) {
                (command, path) = (named, "\(path) \(word)")
                continue
            }
            guard !word.hasPrefix("-"), word != "help" else { return nil }
            let names = known.filter { $0.configuration.shouldDisplay }.map { $0._commandName }
            return "\(path) has no command '\(word)'; it has \(names.joined(separator: ", "))"
        }
        return nil
    }

    /// The command of this command line and a space, where there is one.
    private static var helpCommand: String {
        let names = configuration.subcommands.map { $0._commandName }
        guard CommandLine.arguments.count > 1, names.contains(CommandLine.arguments[1]) else { return "" }
        return CommandLine.arguments[1] + " "
    }
}
