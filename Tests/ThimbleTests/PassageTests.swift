//! Holds prompts whose weights pass from the disk to a Vulkan device against the CPU's answers.

import Foundation
import Memory
import ModelFile
import Models
import TestSupport
import Testing

@testable import Thimble

private let reader = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path

/// An engine whose GPU has so many layers, and the least memory of the host for the others.
private struct TightHost {
    let deviceLayers: Int
    var chunkTokens = 64
    /// Of the host, in MiB; found by planning.
    private(set) var limit = 0

    init?(deviceLayers: Int, chunkTokens: Int = 64) {
        self.deviceLayers = deviceLayers
        self.chunkTokens = chunkTokens
        for mebibytes in 40..<120 {
            limit = mebibytes
            let plan = try? VulkanModelTests.device.plan(reader, contextLength: 256, change)
            if let plan, plan.hasPassage, plan.streamedByteCount > 0 { return }
        }
        return nil
    }

    func change(_ options: inout EngineOptions) {
        options.limits.host = limit << 20
        options.programByteCount = 8 << 20
        options.imageTokens = 120
        options.deviceLayerCount = deviceLayers
        options.chunkTokens = chunkTokens
        options.passageRows = 1
    }

    func engine(_ path: String = reader, ledger: Ledger? = nil) throws -> Engine {
        try VulkanModelTests.device.engine(path, contextLength: 256, ledger: ledger, change)
    }
}

extension VulkanModelTests {
    /// Chunks that are computed with the device alone, each after one read of what passes.
    @Test static func whatPassesFromTheDiskGoesOnToTheDevice() throws {
        let cpu = try ModelDevice.cpu.engine(reader, contextLength: 256)
        let page = try page(cpu)
        let expected = try transcription(page, by: cpu.makeSession())
        let layerCount = cpu.model.configuration.text.layerCount
        var tight = 0
        let cuts = [1, 2, 0, layerCount / 2, layerCount - 1]
        let cases = exampleCount(cuts.count)
        for deviceLayers in cuts.prefix(cases) {
            let chunkTokens = deviceLayers % 2 == 0 ? 32 : 100
            guard let host = TightHost(deviceLayers: deviceLayers, chunkTokens: chunkTokens) else { continue }
            tight += 1
            var options = EngineOptions()
            host.change(&options)
            let ledger = Ledger(options.limits)
            let engine = try host.engine(ledger: ledger)
            let subject = "\(deviceLayers) layers, \(chunkTokens) tokens at a time"
            #expect(engine.plan.hasPassage && engine.plan.streamedByteCount > 0, "\(subject)")
            #expect(try transcription(page, by: engine.makeSession()) == expected, "\(subject)")
            for place in MemoryPlace.allCases {
                #expect(ledger.peak(place) <= engine.plan.byteCount(place), "\(subject), \(place)")
            }
        }
        #expect(tight >= min(cases, 3))
    }

    /// The file is damaged while a prompt is read: that prompt is refused, and others go on once it is whole.
    @Test static func aFaultOfTheDiskIsThePromptsAlone() throws {
        let folder = try TemporaryDirectory()
        let path = folder.path("reader.thimble")
        try FileManager.default.copyItem(atPath: reader, toPath: path)
        let cpu = try ModelDevice.cpu.engine(reader, contextLength: 256)
        let page = try page(cpu)
        let expected = try transcription(page, by: cpu.makeSession())
        let host = try #require(TightHost(deviceLayers: 2))
        let engine = try host.engine(path)
        let first = engine.makeSession()
        #expect(try transcription(page, by: first) == expected)
        let free = engine.pool.freePageCount

        let passing = engine.plan.residency.decoder.passing
        let handle = try FileHandle(forUpdating: URL(filePath: path))
        defer { try? handle.close() }
        for unit in [passing[0], passing[passing.count / 2], passing[passing.count - 1]] {
            let block = try #require(
                engine.file.segments[unit.segment].blocks.first {
                    (unit.codes.lowerBound..<unit.codes.upperBound).overlaps(
                        $0.imageOffset..<$0.imageOffset + $0.rawByteCount)
                })
            func flip() throws {
                try handle.seek(toOffset: UInt64(block.fileOffset))
                let byte = try #require(try handle.read(upToCount: 1)?.first)
                try handle.seek(toOffset: UInt64(block.fileOffset))
                try handle.write(contentsOf: [~byte])
            }
            try flip()
            // What was read ahead of the damage may carry a prompt or two.
            var code: ThimbleError.Code?
            for _ in 0..<6 where code == nil {
                let outcome = Result { try transcription(page, by: engine.makeSession()) }
                if case .failure(let error) = outcome { code = (error as? ThimbleError)?.code }
            }
            #expect(code == .corrupt || code == .io, "\(String(describing: code))")
            #expect(engine.pool.freePageCount == free)
            try flip()
            #expect(try transcription(page, by: first) == expected)
            #expect(try transcription(page, by: engine.makeSession()) == expected)
        }
    }
}
