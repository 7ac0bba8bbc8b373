//! `thimble logits`: the raw logits of a token sequence, for comparing with a reference.

import ArgumentParser
import Thimble

struct LogitsCommand: ParsableCommand {
    static let configuration = CommandConfiguration(
        commandName: "logits",
        abstract: "Write the logits of every position of a token sequence.",
        discussion: """
            Each image token id in the list stands for one image, in order, and is expanded. The output is \
            a NumPy array, float32 [positions, vocabulary], for every position after expansion.

            Examples:
              thimble logits model.thimble --tokens 1,2,3 -o logits.npy
              thimble logits model.thimble --tokens 5,1003,6 --image page.png -o logits.npy
            """)

    @Argument(help: "The model file.", completion: .file(extensions: ["thimble"]))
    var file: String

    @Option(help: "Token ids: 1,2,3.")
    var tokens: TokenList

    @Option(help: "The image that the next image token stands for; can be repeated.", completion: .file())
    var image: [String] = []

    @Option(name: .shortAndLong, help: "The NumPy file to write.", completion: .file(extensions: ["npy"]))
    var output: String

    @OptionGroup var engineFlags: EngineFlags

    func run() throws {
        var images: [RGBImage] = []
        for path in image { images.append(try loadImage(path: path)) }
        let engine = try engineFlags.load(file)
        let vocabularySize = engine.description.configuration.text.vocabularySize
        var writer = try NPYWriter(path: output, columns: vocabularySize)
        var fault: ThimbleError?
        try Interrupt.awaited { () throws(ThimbleError) in
            do throws(ThimbleError) {
                _ = try unsafe engine.logits(
                    of: tokens.tokens, images: images, shouldStop: { fault != nil || Interrupt.isPending }
                ) { rows in
                    guard fault == nil else { return }
                    do throws(ThimbleError) { unsafe try writer.append(rows) } catch { fault = error }
                }
            } catch { throw fault ?? error }
        }
        if let fault { throw fault }
        try Interrupt.check()
        let rows = try writer.commit()
        StandardStream.note("\(output): float32 [\(rows), \(vocabularySize)]")
    }
}
