//! `thimble manual`, which help does not show: writes the manual pages that an installation has.

import ArgumentParser
import HostSystem
import JSON
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
        let commands = try JSONValue(parsing: Array(Program._dumpHelp().utf8)).decoded(as: CommandTree.self)
        do {
            // A folder that cannot be made takes no file.
            _ = FileSystem.makeFolder(output)
            for page in ManualPage.pages(of: commands.command) {
                let file = try ReplacingFile(path: "\(output)/\(page.name).1")
                try file.write(Array(page.text.utf8), at: 0)
                try file.commit()
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
