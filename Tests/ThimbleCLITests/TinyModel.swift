//! A model with random weights, the reader's tokenizer and its chat format, made anew for each test.

import Foundation
import TestSupport
import Testing

/// A folder with a configuration and a tokenizer, and the model file that the program made of it.
struct TinyModel: ~Copyable {
    let directory: TemporaryDirectory
    let path: String

    init(contextLength: Int = 32_768) throws {
        let directory = try TemporaryDirectory()
        let path = directory.path("tiny.thimble")
        try TinyConfiguration.write(to: directory, contextLength: contextLength)
        let run = try ProgramRun.of(
            "convert", "--random", directory.path("config.json"), "-o", path, "--seed", "5", "--name", "tiny")
        try #require(run.status == 0, "\(run)")
        self.directory = directory
        self.path = path
    }
}
