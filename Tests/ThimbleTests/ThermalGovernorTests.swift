//! A machine that is too hot is waited for, and a sensor that is not there is said.

import Foundation
import Memory
import TestSupport
import Testing

@testable import Thimble

@Suite struct ThermalGovernorTests {
    private func governor(_ path: String, ceiling: Double) throws -> ThermalGovernor {
        try ThermalGovernor(
            sensors: [ThermalGovernor.Sensor(path: path, ceiling: ceiling, scale: 1e-3)],
            interval: .milliseconds(1))
    }

    @Test(arguments: [
        ("74999\n", false), ("75000\n", false), ("75001\n", true), ("-3000\n", false), ("", true),
        ("x\n", true),
    ])
    func aValueAboveTheCeilingIsOneThatIsNotToBePassed(text: String, isExceeded: Bool) throws {
        let folder = try TemporaryDirectory()
        let path = try folder.write("40000\n".utf8, to: "temp")
        let governor = try governor(path, ceiling: 75)
        try folder.write(text.utf8, to: "temp")
        #expect(governor.isExceeded == isExceeded)
    }

    @Test func aSensorThatIsNotThereIsRefused() throws {
        let folder = try TemporaryDirectory()
        let error = #expect(throws: ThimbleError.self) {
            try governor(folder.path("temp"), ceiling: 75)
        }
        #expect(error?.code == .inputMissing && error?.message.contains(folder.path("temp")) == true)
        var thermal = Budget.Thermal()
        thermal.zone = "/sys/class/thermal/no-such-zone"
        thermal.ceilingCelsius = 70
        #expect(throws: ThimbleError.self) { try ThermalGovernor(thermal) }
        #expect(try ThermalGovernor(Budget.Thermal()) == nil)
    }

    @Test func workWaitsUntilTheMachineHasCooled() throws {
        let folder = try TemporaryDirectory()
        let path = try folder.write("90000\n".utf8, to: "temp")
        var watch = ThermalWatch(try governor(path, ceiling: 80))
        var looks = 0
        watch.wait {
            looks += 1
            if looks == 5 { try? Data("70000\n".utf8).write(to: URL(filePath: path)) }
            return false
        }
        #expect(looks >= 5, "it waits as long as the sensor is above")
    }

    @Test func whoStopsIsNotKeptWaiting() throws {
        let folder = try TemporaryDirectory()
        var watch = ThermalWatch(try governor(folder.write("90000\n".utf8, to: "temp"), ceiling: 80))
        var looks = 0
        watch.wait {
            looks += 1
            return looks == 3
        }
        #expect(looks == 3)
    }
}
