//! `thimble devices`, and `--device`: with Vulkan, without a driver, without its library.

import Foundation
import TestSupport
import Testing

/// How a machine may lack Vulkan; what the program says to it.
private enum Lack: CaseIterable, CustomTestStringConvertible {
    /// Drivers are looked for where there are none.
    case driver
    /// The library is found, and is none.
    case library

    var testDescription: String { "no \(self)" }
    var word: String { self == .driver ? "driver" : "libvulkan.so.1" }

    /// The environment of such a machine; `folder` takes the files.
    func environment(_ folder: TemporaryDirectory) throws -> [String: String] {
        switch self {
        case .driver:
            let none = folder.path("none.json")
            return ["VK_DRIVER_FILES": none, "VK_ICD_FILENAMES": none]
        case .library:
            try folder.write("no library".utf8, to: "libvulkan.so.1")
            return ["LD_LIBRARY_PATH": folder.url.path]
        }
    }
}

private func devices(_ environment: [String: String] = [:]) throws -> (list: [[String: Any]], fault: String?)
{
    let run = try ProgramRun.of("devices", "--json", environment: environment)
    #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
    #expect(run.output.hasSuffix("}\n") && run.output.count { $0 == "\n" } == 1, "\(run)")
    let object = try run.json()
    return (try #require(object["devices"] as? [[String: Any]]), object["vulkan_fault"] as? String)
}

/// The Vulkan devices of this machine that can be used.
private var usable: [[String: Any]] {
    ((try? devices())?.list ?? []).filter { $0["usable"] as? Bool == true && $0["name"] as? String != "cpu" }
}

@Test func theProcessorIsAlwaysAmongTheDevices() throws {
    let (list, fault) = try devices()
    let cpu = try #require(list.first)
    #expect(cpu["name"] as? String == "cpu" && cpu["kind"] as? String == "cpu")
    #expect(cpu["usable"] as? Bool == true && (cpu["threads"] as? Int ?? 0) > 0)
    #expect((list.count == 1) == (fault != nil), "a list without Vulkan says why")
    let text = try ProgramRun.of("devices")
    #expect(text.status == 0 && text.errors.isEmpty && text.output.hasPrefix("cpu  "), "\(text)")
    for device in list {
        let name = try #require(device["name"] as? String)
        #expect(text.output.contains("\(name)  "), "\(text)")
    }
}

@Test(.enabled(if: !usable.isEmpty, "no Vulkan device here will do"))
func aVulkanDeviceIsDescribed() throws {
    for device in usable {
        let name = try #require(device["name"] as? String)
        #expect(name.hasPrefix("vulkan:"))
        for key in ["title", "driver", "kernels"] { #expect((device[key] as? String ?? "").isEmpty == false) }
        #expect((device["vulkan_version"] as? String ?? "").hasPrefix("1."))
        #expect((device["subgroup_size"] as? Int ?? 0) > 0)
        for key in ["float16", "int8"] { #expect(device[key] as? Bool == true, "\(key) is required") }
        for key in ["integer_dot_product", "cooperative_matrix", "cooperative_matrix2"] {
            #expect(device[key] is Bool, "\(key)")
        }
        let heaps = try #require(device["heaps"] as? [[String: Any]])
        #expect(heaps.contains { $0["device_local"] as? Bool == true })
        #expect(heaps.allSatisfy { ($0["bytes"] as? Int ?? 0) > 0 })
        #expect(device["rejection"] == nil && device["threads"] == nil)
    }
}

@Test(.enabled(if: !usable.isEmpty, "no Vulkan device here will do"))
func aModelAnswersOnAVulkanDevice() throws {
    let model = try TinyModel(contextLength: 256)
    let cache = try TemporaryDirectory()
    let name = try #require(usable.first?["name"] as? String)
    let environment = ["XDG_CACHE_HOME": cache.url.path]
    for device in [name, "vulkan"] {
        let run = try ProgramRun.of(
            "run", model.path, "hello", "-n", "2", "--device", device, environment: environment)
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
    }
    // What was compiled is kept for the next run. A driver may keep things beside it.
    #expect(cache.contents.contains("thimble"))
}

@Test(arguments: Lack.allCases) private func aMachineWithoutVulkanSaysSo(lack: Lack) throws {
    let folder = try TemporaryDirectory()
    let environment = try lack.environment(folder)
    let (list, fault) = try devices(environment)
    #expect(list.map { $0["name"] as? String } == ["cpu"])
    #expect(fault?.contains(lack.word) == true, "\(fault ?? "")")
    let text = try ProgramRun.of("devices", environment: environment)
    #expect(
        text.status == 0 && text.output.contains("no device: ") && text.output.contains(lack.word), "\(text)")
}

@Test(arguments: Lack.allCases) private func aModelRunsWithoutVulkan(lack: Lack) throws {
    let folder = try TemporaryDirectory()
    let environment = try lack.environment(folder)
    let model = try TinyModel(contextLength: 256)
    for device in ["auto", "cpu"] {
        let run = try ProgramRun.of(
            "run", model.path, "hello", "-n", "2", "--device", device, environment: environment)
        #expect(run.status == 0 && run.errors.isEmpty, "\(run)")
    }
    for device in ["vulkan", "vulkan:0"] {
        try ProgramRun.of("run", model.path, "hello", "--device", device, environment: environment)
            .expectError(69, "Vulkan", "--device cpu")
    }
}

@Test(arguments: [
    "abacus", "vulkan:", "vulkan:x", "vulkan:-1", "vulkan:0:0", "CPU", "vulkan:99999999999999999999",
])
func aDeviceThatCannotBeIsNamed(device: String) throws {
    try ProgramRun.of("run", TinyModel(contextLength: 256).path, "hello", "--device", device)
        .expectError(69, "'\(device)'", "auto, cpu, vulkan or vulkan:N")
}

@Test(.enabled(if: !usable.isEmpty, "no Vulkan device here will do"))
func aNumberBeyondTheDevicesPointsToTheList() throws {
    let model = try TinyModel(contextLength: 256)
    try ProgramRun.of("run", model.path, "hello", "--device", "vulkan:99")
        .expectError(69, "vulkan:99", "thimble devices")
    withExtendedLifetime(model) {}
}
