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
    private let vulkan: FaultyVulkan
    private let expected: String

    init() throws {
        vulkan = try FaultyVulkan()
        // Also fills the pipeline store, so that the runs to come need less time.
        expected = try FaultyVulkan.answer(vulkan.engine())
        #expect(!expected.isEmpty)
    }

    @Test func everyFunctionOfTheTableIsKnown() {
        let unknown = unsafe vulkan_fault_unknown_function().map { unsafe String(cString: $0) }
        #expect(unknown == nil, "the sweep does not know \(unknown ?? "")")
    }

    @Test(arguments: 0..<vulkan_fault_function_count())
    func everyCallOfALoadAndAnAnswerMayFail(function: Int32) throws {
        let run = { try FaultyVulkan.answer(self.vulkan.engine()) }
        let calls = try vulkan.calls(of: function, with: ()) { _ = try run() }
        for error in VulkanFault.errors(of: function) {
            for first in Self.places(calls) {
                let fault = VulkanFault(
                    function: function, first: first, error: error,
                    isLasting: vulkan_fault_result(error) == VK_ERROR_DEVICE_LOST)
                let (result, report) = vulkan.window(fault, run)
                #expect(report.injected > 0, "\(fault)")
                #expect(report.alive == 0 && report.misplaced == 0, "\(fault): \(report)")
                expectError(result, fault)
            }
            guard calls > 0 else { continue }
            #expect(try run() == expected, "after \(VulkanFault.name(function))")
        }
    }

    /// The model stays loaded: what is no loss is borne by the same engine, and a lost device stays lost.
    @Test(arguments: 0..<vulkan_fault_function_count())
    func everyCallOfAnAnswerMayFail(function: Int32) throws {
        let calls = try vulkan.calls(of: function, with: vulkan.engine()) { _ = try FaultyVulkan.answer($0) }
        for error in VulkanFault.errors(of: function) {
            let isLoss = vulkan_fault_result(error) == VK_ERROR_DEVICE_LOST
            for first in Self.places(calls) {
                let fault = VulkanFault(function: function, first: first, error: error, isLasting: isLoss)
                // A second answer asks for less: pipelines and room for the image are there.
                let engine = try vulkan.engine()
                let (result, report) = vulkan.window(fault) { try FaultyVulkan.answer(engine) }
                #expect(report.injected > 0, "\(fault)")
                expectError(result, fault)
                let next = Result { try FaultyVulkan.answer(engine) }
                if isLoss && !fault.isHarmless {
                    expectError(next, fault)
                } else {
                    #expect(try next.get() == expected, "the next answer: \(fault)")
                }
            }
        }
    }

    /// The first layer is the processor's, which a prompt's rows go through here or there: what fails on the
    /// device is borne by the same engine, whose sessions answer as before.
    @Test(arguments: [
        "vkQueueSubmit", "vkWaitSemaphores", "vkAllocateMemory", "vkBeginCommandBuffer", "vkEndCommandBuffer",
        "vkCreateCommandPool", "vkAllocateCommandBuffers", "vkCreateBuffer", "vkMapMemory",
    ])
    func callsBesideTheProcessorMayFail(name: String) throws {
        // Its weights are fetched by the device, copied by the host, or stay.
        for (passageRows, reachesHost) in [(1, true), (1, false), (.max, true)] {
            let whole = {
                try self.vulkan.engine(
                    deviceLayers: 1, passageRows: passageRows, reachesHost: reachesHost)
            }
            #expect(try whole().plan.offloadedLayerCount > 0)
            let none = try VulkanFault(name)
            let calls = try vulkan.calls(of: none.function, with: whole()) {
                _ = try FaultyVulkan.answer($0)
            }
            for error in VulkanFault.errors(of: none.function) {
                let isLoss = vulkan_fault_result(error) == VK_ERROR_DEVICE_LOST
                for first in Self.places(calls) {
                    let fault = VulkanFault(
                        function: none.function, first: first, error: error, isLasting: isLoss)
                    let engine = try whole()
                    let free = engine.pool.freePageCount
                    let (result, report) = vulkan.window(fault) { try FaultyVulkan.answer(engine) }
                    #expect(report.injected > 0, "\(fault)")
                    expectError(result, fault)
                    #expect(engine.pool.freePageCount == free, "\(fault)")
                    let next = Result { try FaultyVulkan.answer(engine) }
                    if isLoss {
                        expectError(next, fault)
                    } else {
                        #expect(try next.get() == expected, "the next answer: \(fault)")
                    }
                }
            }
        }
    }

    @Test func everyKindOfMemoryMayRunOutForGood() throws {
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

    /// Every call where they are few, else the first, the last, and some between.
    private static func places(_ calls: Int64) -> [Int64] {
        // Under a sanitizer a place takes seconds.
        let few: Int64 = isSanitized ? 2 : 6
        if calls <= few { return Array(0..<calls) }
        return (0..<few).map { $0 * (calls - 1) / (few - 1) }
    }

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
