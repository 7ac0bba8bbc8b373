//! Which rates count: measured before stated before assumed, and for the threads and the disk in use.

import Foundation
import Memory
import TestSupport
import Testing

/// A profile with a number of its own for everything.
func sampleProfile(threadCount: Int = 4, coreCount: Int = 4) -> MachineProfile {
    var profile = MachineProfile(
        processor: "sample", kernels: "scalar", coreCount: coreCount, threadCount: threadCount,
        takenAt: "2026-01-02T03:04:05Z")
    profile.weights = [
        .init(byteCount: 1 << 20, bytesPerSecond: 80e9), .init(byteCount: 1 << 24, bytesPerSecond: 20e9),
    ]
    profile.fourBitProducts = 1e12
    profile.eightBitProducts = 2e12
    profile.floatProducts = 3e12
    profile.channelSeconds = 4e-9
    profile.attention64 = 5e11
    profile.attention128 = 7e11
    profile.visionAttention = 6e11
    (profile.tokenAttention64, profile.tokenAttention128) = (8e9, 16e9)
    profile.layerSeconds = 9e-6
    profile.decompression = 10e9
    profile.checking = 11e9
    profile.disk = .init(
        device: "8:1", path: "/models/a", bytesPerSecond: 3e9, aloneBytesPerSecond: 2e9, isDirect: true)
    profile.gpu = .init(title: "none", deviceBytesPerSecond: 4e11, busBytesPerSecond: nil)
    return profile
}

private var stated: Budget.Machine {
    var machine = Budget.Machine()
    machine.hostBandwidth = ByteSize(bytes: 12_000_000_000)
    machine.diskBandwidth = ByteSize(bytes: 90_000_000)
    return machine
}

@Suite struct MachineRatesTests {
    @Test func whatIsMeasuredCountsBeforeWhatIsStated() {
        let rates = MachineRates(
            measured: sampleProfile(), stated: stated, threadCount: 4, disk: "8:1")
        #expect(rates.weights == sampleProfile().weights)
        #expect(rates.disk == 3e9 && rates.diskAlone == 2e9)
        #expect(rates.fourBitProducts == 1e12 && rates.eightBitProducts == 2e12)
        #expect(rates.floatProducts == 3e12 && rates.tokenAttention64 == 8e9 && rates.layerSeconds == 9e-6)
        #expect(rates.decompression == 10e9 && rates.checking == 11e9 && rates.visionAttention == 6e11)
        #expect(abs(rates.channelSeconds - 4e-9) < 1e-20)
        #expect(
            [rates.memoryOrigin, rates.diskOrigin, rates.computingOrigin]
                == [.measured, .measured, .measured])
    }

    @Test func whatIsStatedCountsBeforeWhatIsAssumed() {
        let rates = MachineRates(stated: stated, threadCount: 2, disk: "8:1")
        #expect(rates.weightRate(of: 1 << 30) == 12e9)
        #expect(rates.disk == 90e6 && rates.diskAlone == 45e6)
        #expect(
            [rates.memoryOrigin, rates.diskOrigin, rates.computingOrigin] == [.stated, .stated, .assumed])
        #expect(rates.fourBitProducts == 2 * MachineRates.Assumed.fourBitProducts)
    }

    @Test func withoutKnowledgeThereAreGuesses() {
        let (one, four) = (MachineRates(threadCount: 1), MachineRates(threadCount: 4))
        #expect(one.weightRate(of: 1000) == MachineRates.Assumed.hostBandwidth)
        #expect(one.disk == MachineRates.Assumed.diskBandwidth)
        #expect(one.memoryOrigin == .assumed && one.diskOrigin == .assumed)
        #expect(four.attention(headSize: 64) == 4 * one.attention(headSize: 64))
        #expect(four.weights == one.weights, "memory is not faster for more threads")
    }

    @Test(arguments: [nil, "8:2"]) func anotherDiskIsNotTheMeasuredOne(device: String?) {
        let rates = MachineRates(measured: sampleProfile(), stated: stated, threadCount: 4, disk: device)
        #expect(rates.disk == 90e6 && rates.diskOrigin == .stated && rates.memoryOrigin == .measured)
    }

    @Test func ratesFollowTheThreads() {
        func rates(_ threadCount: Int) -> MachineRates {
            MachineRates(measured: sampleProfile(), threadCount: threadCount, disk: "8:1")
        }
        #expect(rates(1).fourBitProducts == 0.25e12 && rates(1).decompression == 2.5e9)
        #expect(rates(1).weightRate(of: 1 << 30) == 5e9 && rates(1).disk == 3e9)
        #expect(abs(rates(1).channelSeconds - 16e-9) < 1e-18)
        #expect(rates(8) == MachineRates(measured: sampleProfile(), threadCount: 8, disk: "8:1"))
        #expect(rates(8).fourBitProducts == 1e12, "threads beyond the cores add nothing")
        let slow = MachineRates(measured: sampleProfile(threadCount: 2), threadCount: 4)
        #expect(slow.fourBitProducts == 2e12 && slow.weightRate(of: 1 << 30) == 20e9)
    }

    @Test func betweenTwoSizesARateLiesBetweenTheirs() {
        let rates = MachineRates(measured: sampleProfile(), threadCount: 4)
        #expect(rates.weightRate(of: 1) == 80e9 && rates.weightRate(of: 1 << 20) == 80e9)
        #expect(abs(rates.weightRate(of: 1 << 22) - 50e9) < 1, "half of the way between the logarithms")
        #expect(rates.weightRate(of: 1 << 24) == 20e9 && rates.weightRate(of: .max) == 20e9)
        #expect(rates.attention(headSize: 32) == 5e11 && rates.attention(headSize: 96) == 6e11)
        #expect(rates.attention(headSize: 128) == 7e11 && rates.attention(headSize: 256) == 7e11)
    }
}

@Suite struct MachineProfileTests {
    @Test func aProfileIsReadAsItWasWritten() throws {
        let json = try JSONEncoder().encode(sampleProfile())
        #expect(try JSONDecoder().decode(MachineProfile.self, from: json) == sampleProfile())
        let empty = MachineProfile(
            processor: "x", kernels: "y", coreCount: 1, threadCount: 1, takenAt: "z")
        #expect(empty.isSound && sampleProfile().isSound)
    }

    private static let faults: [@Sendable (inout MachineProfile) -> Void] = [
        { $0.version = 0 }, { $0.coreCount = 0 }, { $0.threadCount = -1 }, { $0.threadCount = .max },
        { $0.fourBitProducts = 0 }, { $0.eightBitProducts = -1 }, { $0.floatProducts = .nan },
        { $0.attention64 = .infinity }, { $0.attention128 = 0 }, { $0.visionAttention = 1e30 },
        { $0.tokenAttention64 = 0 }, { $0.tokenAttention128 = .nan }, { $0.layerSeconds = 0 },
        { $0.channelSeconds = -4 },
        { $0.decompression = 1e-300 }, { $0.checking = .nan }, { $0.disk?.bytesPerSecond = 0 },
        { $0.gpu?.deviceBytesPerSecond = .infinity }, { $0.gpu?.busBytesPerSecond = 0 },
        { $0.weights[0].bytesPerSecond = .nan }, { $0.weights[0].byteCount = 0 },
        { $0.weights[1].byteCount = 1 << 20 }, { $0.weights.reverse() },
        { profile in profile.weights = (1...1000).map { .init(byteCount: $0, bytesPerSecond: 1) } },
    ]

    @Test func aNumberThatNoMeasurementGivesIsNoticed() {
        for (index, fault) in Self.faults.enumerated() {
            var profile = sampleProfile()
            fault(&profile)
            #expect(!profile.isSound, "fault \(index)")
        }
    }
}
