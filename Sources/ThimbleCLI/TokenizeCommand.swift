//! `thimble tokenize`: text to token ids and back.

import ArgumentParser
import Thimble

struct TokenizeCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "tokenize",
        abstract: "Show the token ids of a text, or the text of token ids.",
        discussion: """
            Examples:
              thimble tokenize model.thimble "Hello, world."
              thimble tokenize model.thimble < letter.txt
              thimble tokenize model.thimble --decode 72,101,108
            """)

    @Argument(help: "The model file.", completion: .file(extensions: ["thimble"]))
    var file: String

    @Argument(help: "The text; - or nothing reads it from standard input.")
    var text: String?

    @Option(help: "Token ids to turn into text: 1,2,3.")
    var decode: TokenList?

    @Flag(help: "Take special tokens' spellings in the text for those tokens.")
    var special = false

    @Flag(help: "Print one JSON object.")
    var json = false

    func validate() throws {
        if text != nil && decode != nil { throw ValidationError("give either a text or --decode") }
        if text == nil && decode == nil && InputText.isTerminal { throw ValidationError("a text is missing") }
    }

    func run() throws {
        let codec = try ModelInspection(modelPath: file).textCodec()
        if let decode {
            let text = try codec.decode(decode.tokens)
            if json { return try JSONLine.write(TokenizedText(text: text, tokens: decode.tokens)) }
            return try StandardStream.output.write(text + "\n")
        }
        let input = text.flatMap { $0 == "-" ? nil : $0 }
        let text = try input ?? InputText.readStandardInput()
        let tokens = codec.encode(text, parsesSpecialTokens: special)
        if json { return try JSONLine.write(TokenizedText(text: text, tokens: tokens)) }
        try StandardStream.output.write(tokens.map(String.init).joined(separator: ",") + "\n")
    }
}

/// What `tokenize --json` prints.
private struct TokenizedText: Encodable {
    var text: String
    var tokens: [Int32]
    var count: Int

    init(text: String, tokens: [Int32]) {
        self.text = text
        self.tokens = tokens
        count = tokens.count
    }
}
