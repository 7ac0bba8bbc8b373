//! Every call of Vulkan fails in turn, in every way it may: an error each, nothing left behind, and the
//! engine opens again and answers.

import CVulkanFaults
import Foundation
import Models
import TestSupport
import Testing
import VulkanCompute

@testable import Thimble

/// Windows are the process's: the tests take turns.
@Suite(.serialized, needsDevice())
struct VulkanFaultTests {
    /// One for all tests, and what its model answers. That also fills the pipeline store, so that the runs to
    /// come need less time.
    nonisolated(unsafe) private static let opened = Result {
        let vulkan = try FaultyVulkan()
        return (vulkan, try FaultyVulkan.answer(vulkan.engine()))
    }
    private let vulkan: FaultyVulkan
    private let expected: String

    init() throws {
        unsafe (vulkan, expected) = try Self.opened.get()
        #expect(!expected.isEmpty)
    }

    @Test func everyFunctionOfTheTableIsKnown() {
        let unknown = unsafe vulkan_fault_unknown_function().map { unsafe String(cString: $0) }
        #expect(unknown == nil, "the sweep does not know \(unknown ?? "")")
    }

    /// How often a load and an answer call each function.
    private static let callsOfLoads = Result {
        let (vulkan, _) = unsafe try opened.get()
        return try vulkan.calls(with: ()) { _ = try FaultyVulkan.answer(vulkan.engine()) }
    }

    @Test(arguments: 0..<vulkan_fault_function_count())
    func everyCallOfALoadAndAnAnswerMayFail(function: Int32) throws {
        let run = { try FaultyVulkan.answer(self.vulkan.engine()) }
        let faults = try VulkanFault.all(of: function, calls: Self.callsOfLoads.get()[Int(function)])
        for fault in faults {
            let (result, report) = vulkan.window(fault, run)
            #expect(report.injected > 0, "\(fault)")
            #expect(report.alive == 0 && report.misplaced == 0, "\(fault): \(report)")
            expectError(result, fault)
        }
        if !faults.isEmpty { #expect(try run() == expected, "after \(VulkanFault.name(function))") }
    }

    /// How often an answer of a model that is loaded calls each function.
    private static let callsOfAnswers = Result {
        let (vulkan, _) = unsafe try opened.get()
        return try vulkan.calls(with: vulkan.engine()) { _ = try FaultyVulkan.answer($0) }
    }

    /// The model stays loaded: what is no loss is borne by the same engine, and a lost device stays lost.
    @Test(arguments: 0..<vulkan_fault_function_count())
    func everyCallOfAnAnswerMayFail(function: Int32) throws {
        for fault in try VulkanFault.all(of: function, calls: Self.callsOfAnswers.get()[Int(function)]) {
            // A second answer asks for less: pipelines and room for the image are there.
            let engine = try vulkan.engine()
            let (result, report) = vulkan.window(fault) { try FaultyVulkan.answer(engine) }
            #expect(report.injected > 0, "\(fault)")
            expectError(result, fault)
            let next = Result { try FaultyVulkan.answer(engine) }
            if fault.isLasting && !fault.isHarmless {
                expectError(next, fault)
            } else {
                #expect(try next.get() == expected, "the next answer: \(fault)")
            }
        }
    }

    /// How the weights of the processor's first layer come to the device, which a prompt's rows go through
    /// here or there: the device fetches them, the host copies them, or they stay.
    private struct Way {
        let passageRows: Int
        let reachesHost: Bool

        static let all = [
            Way(passageRows: 1, reachesHost: true), Way(passageRows: 1, reachesHost: false),
            Way(passageRows: .max, reachesHost: true),
        ]

        func engine(_ vulkan: FaultyVulkan) throws -> Engine {
            let engine = try vulkan.engine(
                deviceLayers: 1, passageRows: passageRows, reachesHost: reachesHost)
            #expect(engine.plan.offloadedLayerCount > 0)
            return engine
        }
    }

    /// How often an answer calls each function, for each of the ways.
    private static let callsOfWays = Result {
        let (vulkan, _) = unsafe try opened.get()
        return try Way.all.map { way in
            try vulkan.calls(with: way.engine(vulkan)) { _ = try FaultyVulkan.answer($0) }
        }
    }

    /// What fails on the device is borne by the same engine, whose sessions answer as before.
    @Test(arguments: [
        "vkQueueSubmit", "vkWaitSemaphores", "vkAllocateMemory", "vkBeginCommandBuffer", "vkEndCommandBuffer",
        "vkCreateCommandPool", "vkAllocateCommandBuffers", "vkCreateBuffer", "vkMapMemory",
    ])
    func callsBesideTheProcessorMayFail(name: String) throws {
        let function = try VulkanFault(name).function
        for (way, calls) in zip(Way.all, try Self.callsOfWays.get()) {
            for fault in VulkanFault.all(of: function, calls: calls[Int(function)], few: 3) {
                let engine = try way.engine(vulkan)
                let free = engine.pool.freePageCount
                let (result, report) = vulkan.window(fault) { try FaultyVulkan.answer(engine) }
                #expect(report.injected > 0, "\(fault)")
                expectError(result, fault)
                #expect(engine.pool.freePageCount == free, "\(fault)")
                let next = Result { try FaultyVulkan.answer(engine) }
                if fault.isLasting {
                    expectError(next, fault)
                } else {
                    #expect(try next.get() == expected, "the next answer: \(fault)")
                }
            }
        }
    }

    /// What waits needs no memory, as with most drivers.
    @Test func everyKindOfMemoryMayRunOutForGood() throws {
        vulkan_fault_spare_waits(true)
        defer { vulkan_fault_spare_waits(false) }
        for error in [VULKAN_FAULT_HOST_MEMORY, VULKAN_FAULT_DEVICE_MEMORY] {
            for name in ["vkAllocateMemory", "vkBeginCommandBuffer", "vkQueueSubmit"] {
                let fault = try VulkanFault(name, first: 1, error: error, isLasting: true)
                let (result, report) = vulkan.window(fault) { try FaultyVulkan.answer(vulkan.engine()) }
                #expect(report.alive == 0 && report.misplaced == 0, "\(fault): \(report)")
                expectError(result, fault)
            }
        }
        #expect(try FaultyVulkan.answer(vulkan.engine()) == expected)
    }

    /// Where no wait succeeds any more, nobody knows whether what was submitted runs: what it uses is left to
    /// it. In a process of its own, whose end gives it back.
    @Test func aDeviceThatCannotBeWaitedForIsLeftAlone() async {
        await #expect(processExitsWith: .success) { try failEveryWait() }
    }

    @Test func aDriverMayLackAnyFunction() throws {
        var index: Int32 = 0
        while let name = unsafe vulkan_fault_table_name(index) {
            defer { index += 1 }
            let word = unsafe String(cString: name)
            // Without these nobody could clean up; debugging is not asked for.
            if ["vkDestroyInstance", "vkDestroyDevice"].contains(word) || word.contains("DebugUtils") {
                continue
            }
            unsafe vulkan_fault_hide(name)
            defer { vulkan_fault_hide(nil) }
            let none = VulkanFault(function: -1, first: 0, error: 0, isLasting: false)
            let (result, report) = vulkan.window(none) { try vulkan.engine() }
            #expect(report.alive == 0 && report.misplaced == 0, "\(word): \(report)")
            let error = #expect(throws: ThimbleError.self, "\(word)") { try result.get() }
            #expect(error?.code == .noDevice, "\(word): \(error?.message ?? "")")
        }
        #expect(index > 40)
        #expect(try FaultyVulkan.answer(vulkan.engine()) == expected)
    }

    @Test func aModelThatDoesNotFitIsRefusedBeforeItIsRead() throws {
        vulkan_fault_limit_heaps(30_000)
        defer { vulkan_fault_limit_heaps(0) }
        let error = #expect(throws: ThimbleError.self) {
            try vulkan.engine { _ in Issue.record("weights are read") }
        }
        #expect(error?.code == .budgetExceeded)
        let message = error?.message ?? ""
        for fragment in ["30000 bytes", "device memory", "too few", "vulkan:0", "--device cpu"] {
            #expect(message.contains(fragment), "\(message)")
        }
    }

    @Test func anAutomaticChoiceGoesToTheCPUWhereTheGPUIsTooSmall() throws {
        vulkan_fault_pretend_discrete(true)
        defer { vulkan_fault_pretend_discrete(false) }
        #expect(try vulkan.engine(.automatic).device.name.hasPrefix("vulkan:"))
        vulkan_fault_limit_heaps(30_000)
        defer { vulkan_fault_limit_heaps(0) }
        #expect(try vulkan.engine(.automatic).device.name == "cpu")
    }

    /// With less shared memory, steps gather fewer tiles; with next to none, the host decodes.
    @Test(arguments: [(32768, true), (4096, true), (1536, true), (256, false)])
    func aDeviceWithLittleSharedMemoryAnswersTheSame(byteCount: UInt32, decodes: Bool) throws {
        vulkan_fault_limit_shared_memory(byteCount)
        defer { vulkan_fault_limit_shared_memory(0) }
        let engine = try vulkan.engine()
        #expect((engine.stepDecoder != nil) == decodes)
        #expect(try FaultyVulkan.answer(engine) == expected)
    }

    @Test func anAutomaticChoiceGoesToTheCPUWhereNoDeviceOpens() throws {
        vulkan_fault_pretend_discrete(true)
        defer { vulkan_fault_pretend_discrete(false) }
        for name in [
            "vkCreateInstance", "vkEnumeratePhysicalDevices", "vkCreateDevice", "vkCreateCommandPool",
        ] {
            let fault = try VulkanFault(name)
            let (result, report) = vulkan.window(fault) { try vulkan.engine(.automatic).device.name }
            #expect(try result.get() == "cpu", "\(name)")
            #expect(report.injected == 1 && report.alive == 0 && report.misplaced == 0, "\(name): \(report)")
        }
    }

    @Test func anInstanceWithoutItsListenerLeavesNothing() throws {
        for name in ["vkCreateInstance", "vkCreateDebugUtilsMessengerEXT"] {
            let fault = try VulkanFault(name)
            let (result, report) = vulkan.window(fault) {
                unsafe try VulkanInstance(listener: ValidationListener { _ in }) {
                    unsafe vulkan_faults_install($0)
                }
            }
            #expect(throws: VulkanError.self) { try result.get() }
            #expect(report.alive == 0 && report.misplaced == 0, "\(name): \(report)")
        }
    }

    /// Whatever lies in the store, a model answers as without it, and a whole file is there afterwards.
    @Test func anEngineBearsWhateverIsInTheStore() throws {
        let names = try FileManager.default.contentsOfDirectory(atPath: vulkan.pipelines.path)
        let file = vulkan.pipelines.appending(path: try #require(names.first))
        let good = [UInt8](try Data(contentsOf: file))
        var flipped = good
        flipped[good.count - 1] ^= 1
        var another = good
        another[25] ^= 0xff
        let hostile = [[], Array(good.dropLast()), flipped, another, Array("no cache".utf8), good + good]
        for bytes in hostile {
            try Data(bytes).write(to: file)
            #expect(try FaultyVulkan.answer(vulkan.engine()) == expected)
            #expect(try Data(contentsOf: file) != Data(bytes), "it is written anew")
        }
    }

    // MARK: What is expected

    private func expectError(
        _ result: Result<String, any Error>, _ fault: VulkanFault,
        at location: SourceLocation = #_sourceLocation
    ) {
        switch result {
        case .success(let text):
            #expect(fault.isHarmless, "no error: \(fault)", sourceLocation: location)
            #expect(text == expected, "\(fault)", sourceLocation: location)
        case .failure(let error as ThimbleError):
            #expect(error.code == fault.code, "\(error): \(fault)", sourceLocation: location)
            #expect(error.message.contains("--device cpu"), "\(error): \(fault)", sourceLocation: location)
        case .failure(let error): Issue.record("\(error): \(fault)", sourceLocation: location)
        }
    }
}

/// Lets waits fail for good, from some of those of a load and an answer on.
private func failEveryWait() throws {
    let vulkan = try FaultyVulkan()
    let expected = try FaultyVulkan.answer(vulkan.engine())
    let calls = try vulkan.calls(with: ()) { _ = try FaultyVulkan.answer(vulkan.engine()) }
    let wait = try VulkanFault("vkWaitSemaphores")
    var left = 0
    for place in VulkanFault.all(of: wait.function, calls: calls[Int(wait.function)]) {
        let fault = VulkanFault(
            function: wait.function, first: place.first, error: wait.error, isLasting: true)
        let (result, report) = vulkan.window(fault) { try FaultyVulkan.answer(vulkan.engine()) }
        switch result {
        case .success: Issue.record("no error: \(fault)")
        case .failure(let error):
            #expect((error as? ThimbleError)?.code == .outOfMemory, "\(fault): \(error)")
        }
        #expect(report.misplaced == 0, "\(fault): \(report)")
        if report.alive > 0 { left += 1 }
        vulkan_fault_forget()
        let next = try FaultyVulkan.answer(vulkan.engine())
        #expect(next == expected, "\(fault)")
    }
    #expect(left > 0)
}
