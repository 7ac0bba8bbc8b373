//! Files that break the rules of the format are refused, by name.

import Foundation
import TestSupport
import Testing

@testable import Checkpoints

@Suite struct SafetensorsTests {
    func fault(_ header: String, dataByteCount: Int = 16) throws -> CheckpointError? {
        let folder = try TemporaryDirectory()
        let path = try folder.safetensors(header, dataByteCount: dataByteCount)
        do throws(CheckpointError) {
            _ = try Safetensors(path: path)
            return nil
        } catch {
            return error
        }
    }

    @Test func aPlainFileIsRead() throws {
        let folder = try TemporaryDirectory()
        let path = try folder.safetensors(
            """
            {"__metadata__":{"format":"pt"},"b":{"dtype":"F16","shape":[2,2],"data_offsets":[8,16]},
             "a":{"dtype":"BF16","shape":[4],"data_offsets":[0,8]}}
            """, dataByteCount: 16)
        let file = try Safetensors(path: path)
        #expect(file.entries.map(\.name) == ["a", "b"])
        #expect(file.entries[1].shape == [2, 2] && file.entries[1].format == .f16)
        #expect(file.entries[1].fileOffset - file.entries[0].fileOffset == 8)
    }

    @Test(arguments: [
        ("{\"a\":{\"dtype\":\"F8_E4M3\",\"shape\":[16],\"data_offsets\":[0,16]}}", "a.dtype is \"F8_E4M3\""),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[3],\"data_offsets\":[0,16]}}", "tensor a of 12 bytes"),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[5],\"data_offsets\":[0,20]}}", "tensor a of 20 bytes"),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}", "begins at 8"),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[0,8]}}", "the tensors end at 8"),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[16,0]}}", "lies at 16 to 0"),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[-16,0]}}", "lies at -16"),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[-4],\"data_offsets\":[0,16]}}", "impossible shape"),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[0],\"data_offsets\":[0,0]}}", "impossible shape"),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[4611686018427387904,16],\"data_offsets\":[0,16]}}",
            "impossible shape"
        ),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0]}}", "lacks"),
        ("{\"a\":{\"dtype\":\"F32\",\"data_offsets\":[0,16]}}", "lacks"),
        ("{\"a\":{\"dtype\":\"F32\",\"shape\":[4.5],\"data_offsets\":[0,16]}}", "not a list of integers"),
        ("{\"a\":3}", "tensor a is 3"),
        ("[]", "the header is an array"),
        ("{\"a\":", "not JSON"),
        ("", "not JSON"),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
                + "\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]}}", "duplicate key \"a\""
        ),
        (
            "{\"a\":{\"dtype\":\"F32\",\"shape\":[4],\"data_offsets\":[0,16]},"
                + "\"b\":{\"dtype\":\"F32\",\"shape\":[2],\"data_offsets\":[8,16]}}", "begins at 8"
        ),
    ]) func aHeaderThatLiesIsRefused(header: String, message: String) throws {
        let error = try fault(header)
        #expect(error?.detail.contains(message) == true, "\(error?.detail ?? "accepted")")
    }

    @Test func impossibleHeaderLengthsAreRefused() throws {
        let folder = try TemporaryDirectory()
        for bytes: [UInt8] in [
            [], [1, 2, 3], [UInt8](repeating: 0xFF, count: 8), [3, 0, 0, 0, 0, 0, 0, 0, 0x7B],
            [0, 0xE1, 0xF5, 0x05, 0, 0, 0, 1] + [UInt8](repeating: 0x20, count: 100),
        ] {
            try Data(bytes).write(to: URL(fileURLWithPath: folder.path("m")))
            #expect(throws: CheckpointError.self) { _ = try Safetensors(path: folder.path("m")) }
        }
    }

    @Test func aHeaderNestedVeryDeepIsRefused() throws {
        #expect(try fault(String(repeating: "[", count: 100_000))?.detail.contains("nested too deep") == true)
    }

    /// 8 MB of text that would be some hundreds of megabytes of values.
    @Test func aHeaderOfVeryManyValuesIsRefused() throws {
        let text = "[" + String(repeating: "[0],", count: 2_000_000) + "0]"
        #expect(try fault(text)?.detail.contains("too many values") == true)
    }

    @Test func everyTruncationOfAShardIsRefused() throws {
        let folder = try TemporaryDirectory()
        let original = try Data(
            contentsOf: URL(fileURLWithPath: Fixtures.path("glm4v/model-00003-of-00003.safetensors")))
        for length in stride(from: 0, to: original.count, by: 97) {
            try original.prefix(length).write(to: URL(fileURLWithPath: folder.path("m")))
            #expect(throws: CheckpointError.self) { _ = try Safetensors(path: folder.path("m")) }
        }
    }

    @Test func changedHeadersNeverTrap() throws {
        let folder = try TemporaryDirectory()
        let original = try [UInt8](
            Data(contentsOf: URL(fileURLWithPath: Fixtures.path("glm4v/model-00003-of-00003.safetensors"))))
        var random = SystemRandomNumberGenerator()
        for _ in 0..<400 {
            var bytes = original
            let place = Int.random(in: 8..<1000, using: &random)
            bytes[place] = Array("0123456789-\"{}[],:eE.\\x".utf8).randomElement(using: &random)!
            try Data(bytes).write(to: URL(fileURLWithPath: folder.path("m")))
            _ = try? Safetensors(path: folder.path("m"))
        }
    }

    @Test func aMissingShardIsNamed() throws {
        let folder = try TemporaryDirectory()
        let copy = try folder.copy(of: "glm4v")
        try FileManager.default.removeItem(atPath: copy + "/model-00002-of-00003.safetensors")
        let error = #expect(throws: CheckpointError.self) { _ = try SafetensorsFolder(path: copy) }
        #expect(error?.file == copy + "/model-00002-of-00003.safetensors")
        #expect(error?.detail == "there is no such file; the checkpoint is not complete")
    }

    @Test(arguments: ["../model.safetensors", "/etc/passwd", "a.bin", "a/b.safetensors", ""])
    func anIndexThatLeavesTheFolderIsRefused(name: String) throws {
        let folder = try TemporaryDirectory()
        let copy = try folder.copy(of: "glm4v")
        try Data("{\"weight_map\": {\"t\": \"\(name)\"}}".utf8).write(
            to: URL(fileURLWithPath: copy + "/model.safetensors.index.json"))
        let error = #expect(throws: CheckpointError.self) { _ = try SafetensorsFolder(path: copy) }
        #expect(error?.detail.contains("not the name of a safetensors file") == true)
    }

    @Test func anIndexThatLiesIsRefused() throws {
        let folder = try TemporaryDirectory()
        let copy = try folder.copy(of: "glm4v")
        try Data("{\"weight_map\": {\"t\": \"model-00001-of-00003.safetensors\"}}".utf8).write(
            to: URL(fileURLWithPath: copy + "/model.safetensors.index.json"))
        let error = #expect(throws: CheckpointError.self) { _ = try SafetensorsFolder(path: copy) }
        #expect(error?.detail == "tensor t is not in this shard, and the index says that it is")
    }

    @Test func aMissingTensorAndAWrongShapeAreNamed() throws {
        let source = try SafetensorsFolder(path: Fixtures.path("glm4v"))
        let missing = #expect(throws: CheckpointError.self) {
            try source.tensor(["model.language_model.layers.9.x", "layers.9.x"], shape: [1])
        }
        #expect(missing?.code == .tensor)
        #expect(missing?.detail == "tensor model.language_model.layers.9.x is missing")
        let other = #expect(throws: CheckpointError.self) {
            try source.tensor(["lm_head.weight"], shape: [70, 47])
        }
        #expect(
            other?.detail
                == "tensor lm_head.weight has the shape [70, 48], and the configuration calls for [70, 47]")
    }
}
