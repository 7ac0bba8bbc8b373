//! What is kept of a machine: read as it was written, and as nothing where it is damaged or another's.

import Foundation
import Memory
import TestSupport
import Testing

@testable import Thimble

private func profile(processor: String = MachineProfile.processorName) -> MachineProfile {
    var profile = MachineProfile(
        processor: processor, kernels: "scalar", coreCount: 2, threadCount: 2,
        takenAt: "2026-01-02T03:04:05Z")
    profile.weights = [.init(byteCount: 1000, bytesPerSecond: 12.5e9)]
    profile.fourBitProducts = 1e11
    profile.attention64 = 2e11
    profile.disk = .init(
        device: "8:1", path: "/models/\u{E9} \"", bytesPerSecond: 3e9, aloneBytesPerSecond: 2e9,
        isDirect: false)
    profile.gpu = .init(title: "gpu", deviceBytesPerSecond: 4e11, busBytesPerSecond: nil)
    return profile
}

@Suite struct MachineStoreTests {
    @Test func aProfileIsReadAsItWasKept() throws {
        let folder = try TemporaryDirectory()
        let cache = folder.path("a/b")
        #expect(MachineProfile.stored(in: cache) == nil, "nothing is there yet")
        let path = try profile().store(in: cache)
        #expect(path == cache + "/machine.json")
        #expect(MachineProfile.stored(in: cache) == profile())
        var other = profile()
        other.fourBitProducts = 5
        try other.store(in: cache)
        #expect(MachineProfile.stored(in: cache) == other, "the newer one counts")
        #expect(try FileManager.default.contentsOfDirectory(atPath: cache) == ["machine.json"])
    }

    @Test func withoutAFolderNothingIsKept() throws {
        #expect(MachineProfile.stored(in: nil) == nil)
        let error = #expect(throws: ThimbleError.self) { try profile().store(in: nil) }
        #expect(error?.code == .cannotCreate && error?.message.contains("XDG_CACHE_HOME") == true)
        let folder = try TemporaryDirectory()
        let file = try folder.write([1], to: "file")
        let blocked = #expect(throws: ThimbleError.self) {
            try profile().store(in: file + "/thimble")
        }
        #expect(blocked?.code == .cannotCreate && blocked?.message.contains("machine.json") == true)
    }

    @Test func anotherMachinesProfileIsAsNone() throws {
        let folder = try TemporaryDirectory()
        try profile(processor: "another").store(in: folder.url.path)
        #expect(MachineProfile.stored(in: folder.url.path) == nil)
    }

    @Test func aDamagedFileIsAsNone() throws {
        let folder = try TemporaryDirectory()
        try profile().store(in: folder.url.path)
        let whole = try Data(contentsOf: folder.url.appending(path: "machine.json"))
        func stored(_ bytes: some Sequence<UInt8>) throws -> MachineProfile? {
            try folder.write(bytes, to: "machine.json")
            return MachineProfile.stored(in: folder.url.path)
        }
        #expect(try stored(whole) == profile())
        for count in stride(from: 0, to: whole.count - 2, by: 7) {
            #expect(try stored(whole.prefix(count)) == nil)
        }
        let text = String(decoding: whole, as: UTF8.self)
        for (old, new) in [
            ("\"version\" : 2", "\"version\" : 1"), ("100000000000", "-1"),
            ("\"core_count\" : 2", "\"core_count\" : 0"),
            ("\"thread_count\" : 2", "\"thread_count\" : \"2\""),
            ("\"byte_count\" : 1000", "\"byte_count\" : 1e99"),
        ] {
            let changed = text.replacing(old, with: new)
            try #require(changed != text, "\(old)")
            #expect(try stored(changed.utf8) == nil, "\(new)")
        }
        #expect(try stored(whole + [UInt8](repeating: 32, count: 65 << 10)) == nil, "too long to be ours")
        var generator = SeededGenerator(seed: 41)
        for _ in 0..<caseCount(300) {
            var bytes = [UInt8](whole)
            bytes[generator.integer(below: bytes.count)] = UInt8(generator.integer(below: 256))
            if let profile = try stored(bytes) { #expect(profile.isSound) }
        }
    }

    @Test func aProcessorHasANameOnEveryBoard() {
        let names = [
            "processor\t: 0\nvendor_id\t: X\nmodel name\t: A  processor: fast\n": "A  processor: fast",
            "processor\t: 0\nCPU part\t: 0xd0b\n\nHardware\t: H\nModel\t\t: A Board Rev 1\n": "A Board Rev 1",
            "CPU implementer\t: 0x41\nCPU variant\t: 0x4\nCPU part\t: 0xd0b\n": "processor 0x41 0xd0b 0x4",
            "": "unknown processor",
        ]
        for (text, name) in names { #expect(MachineProfile.name(information: text) == name) }
    }
}

@Suite struct MachineMeasurementTests {
    private func options(_ modelPath: String?) -> MeasurementOptions {
        var options = MeasurementOptions()
        options.modelPath = modelPath
        options.threadCount = 2
        options.seconds = 0.05
        return options
    }

    @Test func everythingIsMeasured() throws {
        let folder = try TemporaryDirectory()
        let model = Fixtures.packageRoot.appending(path: "Models/reader.thimble").path
        var shares: [Double] = []
        let profile = try MachineProfile.measure(options(model), in: folder.url.path) { shares.append($0) }
        #expect(profile.isSound && profile.processor == MachineProfile.processorName)
        #expect(profile.threadCount == 2 && profile.weights.count >= 2)
        #expect(
            [
                profile.fourBitProducts, profile.eightBitProducts, profile.floatProducts,
                profile.channelSeconds, profile.attention64, profile.attention128, profile.visionAttention,
                profile.tokenAttention64, profile.tokenAttention128, profile.layerSeconds,
                profile.decompression, profile.checking,
            ].allSatisfy { $0 != nil })
        #expect(profile.disk?.path == model && profile.disk?.device == diskDevice(of: model))
        #expect(shares == shares.sorted() && shares.last == 1)
        #expect(folder.contents.isEmpty, "what was written is gone")
    }

    @Test func withoutAModelTheCacheFoldersDiskIsMeasured() throws {
        let folder = try TemporaryDirectory()
        let profile = try MachineProfile.measure(options(nil), in: folder.url.path)
        #expect(profile.disk?.device == diskDevice(of: folder.url.path))
        #expect(profile.disk?.path == folder.url.standardizedFileURL.path)
        #expect(folder.contents.isEmpty)
    }

    @Test func whatCannotBeMeasuredIsAnError() throws {
        let folder = try TemporaryDirectory()
        let small = try folder.write([1, 2, 3], to: "small.thimble")
        let cases: [(MeasurementOptions, ThimbleError.Code)] = [
            (options(folder.path("none")), .inputMissing), (options(small), .corrupt),
        ]
        for (options, code) in cases {
            let error = #expect(throws: ThimbleError.self) {
                try MachineProfile.measure(options, in: folder.url.path)
            }
            #expect(error?.code == code)
        }
        for (threads, seconds) in [(0, 0.05), (100_000, 0.05), (1, 0), (1, .nan), (1, 1e9)] {
            var options = options(nil)
            (options.threadCount, options.seconds) = (threads, seconds)
            let error = #expect(throws: ThimbleError.self) {
                try MachineProfile.measure(options, in: folder.url.path)
            }
            #expect(error?.code == .invalidArgument)
        }
        #expect(folder.contents == ["small.thimble"], "what was written is gone")
    }
}
