//! A Vulkan whose calls can be made to fail, and a model to run on it.

import CVulkanFaults
import Foundation
import TestSupport
import Testing
import VulkanCompute

@testable import Thimble

/// A call that fails: the one of that number, from 0, of a function.
struct VulkanFault: CustomStringConvertible {
    let function: Int32
    let first: Int64
    /// One bit of those in CVulkanFaults.h.
    let error: UInt32
    /// Whether later calls fail too, as they do on a lost device.
    let isLasting: Bool

    init(function: Int32, first: Int64, error: UInt32, isLasting: Bool) {
        self.function = function
        self.first = first
        self.error = error
        self.isLasting = isLasting
    }

    /// A call of the function of that name.
    init(_ name: String, first: Int64 = 0, error: Int = VULKAN_FAULT_HOST_MEMORY, isLasting: Bool = false)
        throws
    {
        let function = try #require((0..<vulkan_fault_function_count()).first { Self.name($0) == name })
        self.init(function: function, first: first, error: UInt32(error), isLasting: isLasting)
    }

    static func name(_ function: Int32) -> String {
        unsafe String(cString: vulkan_fault_function_name(function))
    }

    var description: String {
        "\(Self.name(function)), call \(first)\(isLasting ? " and what follows" : ""), "
            + "result \(vulkan_fault_result(error).rawValue)"
    }

    /// What is tried of a function that is called so often: every call where they are few, else the first,
    /// the last, and some between. What a function may return takes turns, each of it at least once: all
    /// that is not the device's loss is borne alike. The loss, where it may return that, is tried at each
    /// call too.
    static func all(of function: Int32, calls: Int64, few: Int64 = 6) -> [VulkanFault] {
        guard calls > 0 else { return [] }
        // Under a sanitizer a place takes seconds.
        let few = isSanitized ? 2 : few
        let places = calls <= few ? Array(0..<calls) : (0..<few).map { $0 * (calls - 1) / (few - 1) }
        let errors = (0..<32).map { 1 << $0 }.filter { vulkan_fault_errors(function) & $0 != 0 }
        func inTurn(_ errors: [UInt32], isLasting: Bool) -> [VulkanFault] {
            let count = errors.isEmpty ? 0 : max(places.count, errors.count)
            return (0..<count).map {
                VulkanFault(
                    function: function, first: places[$0 % places.count], error: errors[$0 % errors.count],
                    isLasting: isLasting)
            }
        }
        let losses = errors.filter { vulkan_fault_result($0) == VK_ERROR_DEVICE_LOST }
        return inTurn(errors.filter { !losses.contains($0) }, isLasting: false)
            + inTurn(losses, isLasting: true)
    }

    /// What the user is to be told.
    var code: ThimbleError.Code {
        switch vulkan_fault_result(error) {
        case VK_ERROR_DEVICE_LOST, VK_ERROR_INITIALIZATION_FAILED, VK_ERROR_INCOMPATIBLE_DRIVER: .noDevice
        default: .outOfMemory
        }
    }

    /// Whether nobody need be told: the call has no result that is needed.
    var isHarmless: Bool {
        ["vkDeviceWaitIdle", "vkGetPipelineCacheData", "vkResetCommandBuffer"].contains(Self.name(function))
    }
}

/// A folder with a tiny model of random weights, and Vulkan with `vulkan_faults_install` before the driver.
final class FaultyVulkan {
    private let folder: TemporaryDirectory
    let model: String
    let pipelines: URL

    init() throws {
        folder = try TemporaryDirectory()
        model = folder.path("tiny.thimble")
        pipelines = folder.url.appending(path: "pipelines")
        var options = ConversionOptions()
        options.threadCount = 1
        let configuration = try TinyConfiguration.write(to: folder, contextLength: 256)
        _ = try convert(.random(configuration: configuration, seed: 5), to: model, options)
    }

    /// Whether this machine has a device that will do.
    static let isAvailable = ((try? VulkanInstance().devices()) ?? []).contains { $0.rejection == nil }

    var access: VulkanAccess {
        VulkanAccess(
            open: { () throws(VulkanError) in
                unsafe try VulkanInstance(listener: nil) { unsafe vulkan_faults_install($0) }
            }, pipelines: PipelineStore(folder: pipelines.path))
    }

    func engine(
        _ device: DeviceChoice = .vulkan(nil), deviceLayers: Int? = nil, passageRows: Int? = nil,
        reachesHost: Bool = true, progress: (Double) -> Void = { _ in }
    ) throws -> Engine {
        var options = EngineOptions()
        options.device = device
        options.threadCount = 1
        options.deviceLayerCount = deviceLayers
        options.passageRows = passageRows
        options.reachesHost = reachesHost
        return try Engine(modelPath: model, options: options, vulkan: access, progress: progress)
    }

    /// What the model says to a picture and a question.
    static func answer(_ engine: Engine) throws -> String {
        let session = engine.makeSession()
        let grey = (0..<56 * 56 * 3).map { UInt8($0 % 251) }
        session.append(
            Message(.user, [.image(RGBImage(width: 56, height: 56, pixels: grey)), .text("What is it?")]))
        var options = GenerationOptions()
        options.maximumTokens = 2
        options.sampling.temperature = 0
        options.showsSpecialTokens = true
        return try session.generate(options) { _ in }.text
    }

    /// Runs `body` with a call failing; what came of it, and what the window saw.
    func window<Value>(
        _ fault: VulkanFault, _ body: () throws -> Value
    ) -> (Result<Value, any Error>, vulkan_fault_report) {
        vulkan_fault_begin(fault.function, fault.first, fault.error, fault.isLasting)
        let result = Result(catching: body)
        return (result, vulkan_fault_end())
    }

    /// How often `body` calls each function, by its number, `subject` being made before.
    func calls<Subject>(with subject: Subject, _ body: (Subject) throws -> Void) rethrows -> [Int64] {
        vulkan_fault_begin(-1, 0, 0, false)
        defer { _ = vulkan_fault_end() }
        try body(subject)
        return (0..<vulkan_fault_function_count()).map { vulkan_fault_calls($0) }
    }
}

/// Which tests need a device.
func needsDevice() -> ConditionTrait {
    .enabled(if: FaultyVulkan.isAvailable, "no Vulkan device here will do")
}
