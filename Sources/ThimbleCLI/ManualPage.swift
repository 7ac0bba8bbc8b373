//! A command's manual page, in the language of man(7).

import Thimble

/// A manual page of section 1.
struct ManualPage {
    /// Of the file, without `.1`: `thimble-read`.
    let name: String
    let text: String

    /// The pages of a command and of all below it that are shown.
    static func pages(of command: CommandTree.Command) -> [ManualPage] {
        let below = (command.subcommands ?? []).filter { $0.shouldDisplay && $0.commandName != "help" }
        return [ManualPage(command, below)] + below.flatMap(pages)
    }

    private init(_ command: CommandTree.Command, _ below: [CommandTree.Command]) {
        let words = (command.superCommands ?? []) + [command.commandName]
        name = words.joined(separator: "-")
        let shown = (command.arguments ?? []).filter(\.shouldDisplay)
        let positional = shown.filter { $0.kind == "positional" }
        let options = shown.filter { $0.kind != "positional" }
        var lines = [
            ".TH \(name.uppercased()) 1 \"\" \"thimble \(Version.string)\" \"Thimble\"",
            ".SH NAME",
            "\(Roff.text(name)) \\- \(Roff.text(command.abstract ?? ""))",
            ".SH SYNOPSIS",
            Self.synopsis(words, positional, options, hasCommands: !below.isEmpty),
        ]
        if let discussion = command.discussion {
            lines += [".SH DESCRIPTION"] + Roff.paragraphs(discussion)
        }
        if !positional.isEmpty { lines += [".SH ARGUMENTS"] + positional.flatMap(Self.item) }
        var sections: [String] = []
        for option in options where !sections.contains(option.sectionTitle ?? "") {
            sections.append(option.sectionTitle ?? "")
        }
        for section in sections {
            lines.append(section.isEmpty ? ".SH OPTIONS" : ".SH \(section.uppercased()) OPTIONS")
            lines += options.filter { ($0.sectionTitle ?? "") == section }.flatMap(Self.item)
        }
        if !below.isEmpty {
            lines.append(".SH COMMANDS")
            for command in below {
                lines += [
                    ".TP", ".BR \(Roff.text("\(name)-\(command.commandName)")) (1)",
                    Roff.text(command.abstract ?? ""),
                ]
            }
        }
        if words.count == 1 {
            lines += Self.exitStatus
        } else {
            lines += [".SH SEE ALSO", ".BR \(Roff.text(words.dropLast().joined(separator: "-"))) (1)"]
        }
        text = lines.joined(separator: "\n") + "\n"
    }

    private static func synopsis(
        _ words: [String], _ positional: [CommandTree.Argument], _ options: [CommandTree.Argument],
        hasCommands: Bool
    ) -> String {
        var parts = ["\\fB\(Roff.text(words.joined(separator: " ")))\\fR"]
        if hasCommands { parts.append("\\fICOMMAND\\fR") }
        parts += positional.map { argument in
            let name = "\\fI\(Roff.text((argument.valueName ?? "value").uppercased()))\\fR"
            let many = argument.isRepeating ? name + " ..." : name
            return argument.isOptional ? "[\(many)]" : many
        }
        if !options.isEmpty { parts.append("[\\fIOPTIONS\\fR]") }
        return parts.joined(separator: " ")
    }

    /// An argument or option and what it says.
    private static func item(_ argument: CommandTree.Argument) -> [String] {
        let value = "\\fI\(Roff.text(argument.valueName ?? "value"))\\fR"
        let spellings = (argument.names ?? []).map { "\\fB\(Roff.text($0.spelling))\\fR" }
        let head =
            switch argument.kind {
            case "positional": value
            case "flag": spellings.joined(separator: ", ")
            default: spellings.joined(separator: ", ") + " " + value
            }
        var lines = [".TP", head, Roff.text(argument.abstract ?? "")]
        if let discussion = argument.discussion { lines += Roff.paragraphs(discussion, within: true) }
        if let value = argument.defaultValue { lines.append("Default: \(Roff.text(value)).") }
        return lines
    }

    /// How every command ends.
    private static let exitStatus: [String] = {
        let meanings: [(ExitStatus, String)] = [
            (.success, "Done."),
            (.failure, "The prompt does not fit in the context, memory ran out, or doctor found a fault."),
            (.budgetExceeded, "What was asked for does not fit the memory that it may take."),
            (.usage, "The command line cannot be."),
            (.badData, "The input is damaged or not supported."), (.inputMissing, "An input is missing."),
            (.noDevice, "There is no such device."), (.internalFault, "A fault of this program."),
            (.cannotCreate, "The output cannot be made."), (.inputOutput, "A read or a write failed."),
            (.interrupted, "Interrupted."), (.terminated, "Ended by SIGTERM."),
        ]
        return [".SH EXIT STATUS"]
            + meanings.flatMap { [".TP", ".B \($0.rawValue)", Roff.text($1)] }
    }()
}

/// Text in the language of man(7), in which some characters mean something.
enum Roff {
    /// A line, or several as one paragraph. A hyphen is one of the keyboard, so that it can be copied.
    static func text(_ text: String) -> String {
        let escaped = text.flatMap { character -> String in
            switch character {
            case "\\": "\\e"
            case "-": "\\-"
            case "'": "\\(aq"
            default: String(character)
            }
        }
        return String(escaped).split(separator: "\n", omittingEmptySubsequences: false).map {
            // A line that begins so would be taken for a request.
            $0.hasPrefix(".") ? "\\&" + $0 : String($0)
        }.joined(separator: "\n")
    }

    /// Paragraphs; indented lines are examples, and stay as they are.
    static func paragraphs(_ discussion: String, within item: Bool = false) -> [String] {
        var lines: [String] = []
        var isExample = false
        for line in discussion.split(separator: "\n", omittingEmptySubsequences: false) {
            let indented = line.hasPrefix("  ")
            if indented != isExample {
                lines += indented ? [".RS 2", ".nf"] : [".fi", ".RE"]
                isExample = indented
            }
            let isBlank = line.allSatisfy(\.isWhitespace)
            lines.append(isBlank ? (item ? ".sp" : ".PP") : text(String(line.drop { $0 == " " })))
        }
        return lines + (isExample ? [".fi", ".RE"] : [])
    }
}
