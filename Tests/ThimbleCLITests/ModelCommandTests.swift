//! `convert`, `inspect`, `tokenize`, `logits` and `bench`: what others measure with.

import Foundation
import TestSupport
import Testing

@Test func inspectShowsWhatConvertWasTold() throws {
    let model = try TinyModel()
    let json = try ProgramRun.of("inspect", model.path, "--tensors", "--verify", "--json").json()
    #expect((json["model"] as? [String: Any])?["name"] as? String == "tiny")
    #expect(json["verified"] as? Bool == true)
    let tensors = try #require(json["tensors"] as? [[String: Any]])
    #expect(json["tensor_count"] as? Int == tensors.count && tensors.count > 10)
    #expect(tensors.allSatisfy { $0["shape"] is [Int] && $0["format"] is String && $0["name"] is String })
    let text = try ProgramRun.of("inspect", model.path)
    #expect(text.status == 0 && text.output.contains("name          tiny"), "\(text)")
}

@Test func convertingTwiceGivesTheSameFile() throws {
    let model = try TinyModel()
    let again = model.directory.path("again.thimble")
    let run = try ProgramRun.of(
        "convert", "--random", model.directory.path("config.json"), "-o", again, "--seed", "5", "--name",
        "tiny",
        "--threads", "1")
    #expect(run.status == 0 && run.output.isEmpty && run.errors.contains("convert 100%"), "\(run)")
    #expect(!run.errors.contains("\r") && !run.errors.contains("\u{1B}"))
    #expect(FileManager.default.contentsEqual(atPath: again, andPath: model.path))
}

@Test(arguments: ["f16", "q8", "q4"])
func aReferenceCheckpointConverts(weights: String) throws {
    let directory = try TemporaryDirectory()
    let folder = ReferenceCase(name: "one-image").folder.path
    let path = directory.path("model.thimble")
    let run = try ProgramRun.of("convert", folder, "-o", path, "--weights", weights, "--group", "32")
    #expect(run.status == 0, "\(run)")
    #expect(try ProgramRun.of("inspect", path, "--verify").status == 0)
}

@Test func textGoesToTokensAndBack() throws {
    let model = try TinyModel()
    let text = "Tea & 48213 h\u{E9}\u{301} \u{1F6A2}"
    let encoded = try ProgramRun.of("tokenize", model.path, text)
    let piped = try ProgramRun.of("tokenize", model.path, input: text)
    #expect(
        encoded.output.wholeMatch(of: /\d+(,\d+)*\n/) != nil && encoded.output == piped.output, "\(encoded)")
    let ids = encoded.output.dropLast()
    #expect(try ProgramRun.of("tokenize", model.path, "--decode", String(ids)).output == text + "\n")
    let json = try ProgramRun.of("tokenize", model.path, text, "--json").json()
    #expect(json["count"] as? Int == ids.split(separator: ",").count)
    #expect(json["tokens"] as? [Int] == ids.split(separator: ",").compactMap { Int($0) })
}

@Test func specialTokensAreTextUnlessAskedFor() throws {
    let model = try TinyModel()
    #expect(try ProgramRun.of("tokenize", model.path, "<|user|>", "--special").output == "1011\n")
    #expect(try ProgramRun.of("tokenize", model.path, "<|user|>").output.contains(","))
}

@Test func logitsAreANumPyArrayOfEveryPosition() throws {
    let reference = ReferenceCase(name: "one-image")
    let directory = try TemporaryDirectory()
    let (model, output) = (directory.path("model.thimble"), directory.path("logits.npy"))
    #expect(try ProgramRun.of("convert", reference.folder.path, "-o", model, "--weights", "f16").status == 0)
    let tokens = try reference.tokens().map(String.init).joined(separator: ",")
    let image = reference.folder.appending(path: "image-0.png").path
    let run = try ProgramRun.of(
        "logits", model, "--tokens", tokens, "--image", image, "-o", output, "--device", "cpu")
    #expect(run.status == 0 && run.output.isEmpty, "\(run)")
    let bytes = try Data(contentsOf: URL(filePath: output))
    let positions = try reference.summary().positions
    let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(positions), 160), }"
    #expect(bytes.starts(with: [0x93] + Array("NUMPY".utf8) + [1, 0, 118, 0] + Array(header.utf8)))
    #expect(bytes[127] == 0x0A && bytes.count == 128 + positions * 160 * 4)
    let (computed, expected) = (
        try NPY(contentsOf: URL(filePath: output)).floats(), try reference.logits().floats()
    )
    let largest = zip(computed, expected).map { abs($0 - $1) }.max() ?? .infinity
    #expect(computed.count == expected.count && largest < 0.05, "largest difference \(largest)")
}

@Test func theBenchmarkReportsItsRates() throws {
    let model = try TinyModel()
    let json = try ProgramRun.of(
        "bench", model.path, "-p", "16", "-n", "4", "--threads", "2", "--json"
    ).json()
    #expect(try #require(json["prefill_tokens_per_second"] as? Double) > 0)
    #expect(try #require(json["decode_tokens_per_second"] as? Double) > 0)
    #expect(
        json["threads"] as? Int == 2 && json["device"] as? String == "cpu"
            && json["model"] as? String == "tiny")
    #expect(json["variant"] is String && json["bytes"] is Int)
    #expect(try #require(json["read_bytes_per_second"] as? Double) > 0)
    #expect(try #require(json["decode_bandwidth_share"] as? Double) > 0)
    #expect(try #require(json["decode_weight_bytes"] as? Int) > 0)
    func rate(_ name: String) throws -> Double { try #require(json["\(name)_bytes_per_second"] as? Double) }
    let slowest = try min(rate("load_disk"), rate("load_decompression"))
    let bound = try rate("load_bound")
    #expect(slowest > 0 && slowest == bound)
    #expect(json["load_copy_bytes_per_second"] == nil && json["load_reads_directly"] is Bool)
    let share = try #require(json["load_share"] as? Double)
    #expect(abs(share * bound - (try rate("load"))) <= 1e-9 * bound)
    #expect(json["seconds_per_image"] == nil && json["images"] == nil)
    let text = try ProgramRun.of("bench", model.path, "-p", "4", "-n", "2", "-r", "1")
    #expect(text.status == 0, "\(text)")
    for word in ["prefill", "decode", "% of its slowest part", "load parts    disk", ", decompression"] {
        #expect(text.output.contains(word), "\(text)")
    }
}

/// Within little memory weights pass from the file, and the disk is measured by its readers.
@Test(.enabled(if: !isSanitized, "a sanitizer's shadow is memory of the program, too"))
func theBenchmarkHoldsReadingAgainstTheDisk() throws {
    let model = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path
    let flags = ["--context", "256", "--image-tokens", "300", "--device", "cpu", "--threads", "2"]
    let counts = ["-p", "16", "-n", "3", "-r", "2"]
    let refusal = try ProgramRun.Running(["bench", model, "--host-memory", "1MiB"] + flags).finish()
    let least = try #require(refusal.errors.firstMatch(of: /--host-memory (\d+)MiB/).flatMap { Int($0.1) })
    let limit = ["--host-memory", "\(least + 1)MiB"]
    let json = try ProgramRun.Running(["bench", model, "--json"] + flags + counts + limit).finish().json()
    let disk = try #require(json["disk"] as? [String: Any])
    let measurements = try #require(disk["measurements"] as? [Double])
    #expect(measurements.count == 3 && measurements.allSatisfy { $0 > 0 })
    #expect(try #require(disk["bytes_per_second"] as? Double) == measurements.sorted()[1])
    #expect(disk["readers"] as? Int == 4 && disk["reads_directly"] is Bool)
    for name in ["prefill", "decode"] {
        let stage = try #require(disk[name] as? [String: Any])
        let share = try #require(stage["share"] as? Double)
        #expect(share > 0 && share.isFinite, "\(name)")
        #expect(try #require(stage["bytes"] as? Int) > 0)
        let (idle, reads) = try (
            #require(stage["idle_share"] as? Double), #require(stage["reads_in_flight"] as? Double)
        )
        #expect((0...1).contains(idle) && reads > 0 && reads <= 4)
    }
    let text = try ProgramRun.Running(["bench", model, "--profile"] + flags + counts + limit).finish()
    for words in [
        "GB/s (", "reads; prefill uses", "decode uses", "decode reads  ", "reads on their way, none for",
    ] {
        #expect(text.output.contains(words), "\(text)")
    }
    let ample = try ProgramRun.Running(["bench", model, "--json"] + flags + counts).finish().json()
    #expect(ample["disk"] == nil)
}

/// Of three images of 40 visual tokens each, two fit in the largest image's room.
@Test func theBenchmarkEncodesImagesAloneAndTogether() throws {
    let model = try TinyModel()
    let vision = ["-p", "0", "-n", "0", "-r", "1", "--image", "140x224", "--device", "cpu"]
    let batch = vision + ["--images", "3", "--image-tokens", "80", "--prefill-chunk", "32"]
    let json = try ProgramRun.Running(["bench", model.path, "--json"] + batch).finish().json()
    #expect(try #require(json["seconds_per_image"] as? Double) > 0)
    #expect(try #require(json["seconds_per_image_of_batch"] as? Double) > 0)
    #expect(json["images"] as? Int == 3 && json["images_together"] as? Int == 2)
    let text = try ProgramRun.Running(["bench", model.path] + batch).finish()
    #expect(text.output.contains("ms an image of 3, 2 together"), "\(text)")
    let alone = try ProgramRun.Running(["bench", model.path] + vision).finish()
    #expect(alone.output.contains("ms an image") && !alone.output.contains("together"), "\(alone)")
}

/// The bundled model, and one of random weights: a second question finds what the first one has made.
@Test func theBenchmarkAsksAgain() throws {
    let tiny = try TinyModel()
    let bundled = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path
    let flags = ["-p", "0", "-n", "0", "-r", "2", "--image", "140x224", "--images", "3", "--device", "cpu"]
    for model in [tiny.path, bundled] {
        let command = ["bench", model] + flags + ["--ask-again"]
        let json = try ProgramRun.Running(command + ["--json"]).finish().json()
        let questions = try #require(json["questions"] as? [String: Any])
        let (first, second) = try (
            #require(questions["first"] as? [String: Any]), #require(questions["second"] as? [String: Any])
        )
        // 40 visual tokens an image, 36 of text, of which the last 32 differ.
        #expect(first["prompt_tokens"] as? Int == 156 && second["prompt_tokens"] as? Int == 156)
        #expect(first["images_encoded"] as? Int == 3 && first["shared_tokens"] as? Int == 0)
        // Whole pages of 16 tokens.
        #expect(second["images_encoded"] as? Int == 0 && second["shared_tokens"] as? Int == 112)
        let seconds = try [first, second].map { try #require($0["first_token_seconds"] as? Double) }
        #expect(seconds.allSatisfy { $0 > 0 })
        #expect(try #require(questions["share"] as? Double) > 0)
        let text = try ProgramRun.Running(command).finish()
        for words in ["first token, 3 images encoded of 156 tokens", "0 images encoded", "112 tokens shared"]
        {
            #expect(text.output.contains(words), "\(text)")
        }
    }
    let alone = try ProgramRun.Running(["bench", tiny.path, "--json"] + flags).finish().json()
    #expect(alone["questions"] == nil)
    let full = try ProgramRun.Running(["bench", tiny.path] + flags + ["--ask-again", "--context", "155"])
        .finish()
    #expect(full.status == 1 && full.errors.contains("155"), "\(full)")
}
