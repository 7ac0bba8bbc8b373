//! `thimble manual`, which help does not show: writes the manual pages that an installation has.

import ArgumentParser
import FoundationEssentials
import Thimble

struct ManualCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "manual",
        abstract: "Write a manual page for each command, from what the commands say of themselves.",
        discussion: """
            Examples:
              thimble manual -o share/man/man1
            """,
        shouldDisplay: false)

    @Option(name: .shortAndLong, help: "The folder for thimble.1 and so on.", completion: .directory)
    var output: String

    func run() throws {
        let commands = try JSONDecoder().decode(CommandTree.self, from: Data(Program._dumpHelp().utf8))
        do {
            try FileManager.default.createDirectory(atPath: output, withIntermediateDirectories: true)
            for page in ManualPage.pages(of: commands.command) {
                try Data(page.text.utf8).write(to: URL(filePath: "\(output)/\(page.name).1"))
            }
        } catch {
            throw Failure(.cannotCreate, "\(output): cannot be written to; name another folder with -o")
        }
    }
}

/// What ArgumentParser tells of all commands, as far as manual pages say it.
struct CommandTree: Decodable {
    struct Command: Decodable {
        var commandName: String
        /// The names before it, from the program's on.
        var superCommands: [String]?
        var abstract: String?
        var discussion: String?
        var shouldDisplay: Bool
        var subcommands: [Command]?
        var arguments: [Argument]?
    }

    struct Argument: Decodable {
        struct Name: Decodable {
            var kind: String
            var name: String

            var spelling: String { (kind == "short" ? "-" : "--") + name }
        }

        var kind: String
        var names: [Name]?
        var valueName: String?
        var abstract: String?
        var discussion: String?
        var defaultValue: String?
        var isOptional: Bool
        var isRepeating: Bool
        var shouldDisplay: Bool
        var sectionTitle: String?
    }

    var command: Command
}
