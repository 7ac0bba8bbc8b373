//! A manifest with a valid checksum may still lie; every lie is refused.

import Foundation
import Tensors
import TestSupport
import Testing

@testable import ModelFile

@Suite struct ManifestTests {
    /// The error of validating the sample's manifest after `change`, in its own file.
    func fault(_ change: (inout Manifest) -> Void) throws -> ModelFileError? {
        let folder = try TemporaryDirectory()
        try SampleModel.write(to: folder.path("m"))
        let file = try ModelFile(path: folder.path("m"))
        var manifest = file.manifest
        change(&manifest)
        do throws(ModelFileError) {
            try manifest.validate(
                file: "m", blockIndexOffset: Int(file.header.blockIndexOffset),
                blockCount: Int(file.header.blockCount))
            return nil
        } catch {
            return error
        }
    }

    @Test func theManifestAsWrittenIsAccepted() throws {
        #expect(try fault { _ in } == nil)
    }

    @Test func liesAboutSegmentsAreRefused() throws {
        let lies: [(inout SegmentEntry) -> Void] = [
            { $0.name = "tokenizer" },
            { $0.name = "" },
            { $0.name = String(repeating: "n", count: 1000) },
            { $0.fileOffset += 4096 },
            { $0.fileOffset = .max },
            { $0.fileOffset = -4096 },
            { $0.storedByteCount = .max },
            { $0.storedByteCount = -1 },
            { $0.codesByteCount = .max },
            { $0.codesByteCount = -64 },
            { $0.codesByteCount += 64 },
            { $0.scalesByteCount = .max },
            { $0.scalesByteCount += 64 },
            { $0.firstBlock = .max },
            { $0.firstBlock = -1 },
            { $0.kind = .data },
            { $0.tensors.removeLast() },
            { $0.tensors.append($0.tensors[0]) },
        ]
        for (index, lie) in lies.enumerated() {
            #expect(try fault { lie(&$0.segments[1]) } != nil, "lie \(index)")
        }
    }

    @Test func liesAboutTensorsAreRefused() throws {
        let lies: [(inout TensorEntry) -> Void] = [
            { $0.rows = 0 },
            { $0.rows = -1 },
            { $0.rows = .max },
            { $0.columns = .max },
            { $0.columns = 0 },
            { $0.rows += 16 },
            { $0.format.group = 7 },
            { $0.format.group = 0 },
            { $0.format.type = .f32 },
            { $0.kind = .vector },
            { $0.codesOffset = .max },
            { $0.codesOffset = 64 },
            { $0.codesOffset = -64 },
            { $0.scalesOffset = nil },
            { $0.scalesOffset = 0 },
            { $0.scalesOffset = .max },
            { $0.name = "noise" },
        ]
        for (index, lie) in lies.enumerated() {
            #expect(try fault { lie(&$0.segments[1].tensors[0]) } != nil, "lie \(index)")
        }
    }

    @Test func anUnsupportedConfigurationIsRefused() throws {
        let lies: [(inout ModelConfiguration) -> Void] = [
            { $0.text.headSize = 512 },
            { $0.text.headSize = 0 },
            { $0.text.kvHeadCount = 0 },
            { $0.text.kvHeadCount = 3 },
            { $0.text.hiddenSize = .max },
            { $0.text.layerCount = -1 },
            { $0.text.rotarySize = 300 },
            { $0.text.rmsNormEpsilon = .nan },
            { $0.text.ropeTheta = .infinity },
            { $0.tokens.endOfSequence = [100] },
            { $0.tokens.image = -1 },
            { $0.architecture = .glm4v },
            { $0.generation.topP = 2 },
        ]
        for (index, lie) in lies.enumerated() {
            #expect(try fault { lie(&$0.model.configuration) } != nil, "lie \(index)")
        }
    }

    @Test func aFileThatLacksTensorsOfItsConfigurationFailsTheSchema() throws {
        let folder = try TemporaryDirectory()
        try SampleModel.write(to: folder.path("m"))
        let file = try ModelFile(path: folder.path("m"))
        let error = #expect(throws: ModelFileError.self) { try file.checkSchema() }
        #expect(error?.code == .missing)
        #expect(error?.detail == "segment embedding is missing")
    }
}
