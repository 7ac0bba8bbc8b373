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

    /// The errors that a function may return, one bit each.
    static func errors(of function: Int32) -> [UInt32] {
        (0..<32).map { 1 << $0 }.filter { vulkan_fault_errors(function) & $0 != 0 }
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

    /// How often `body` calls a function, `subject` being made before.
    func calls<Subject>(
        of function: Int32, with subject: Subject, _ body: (Subject) throws -> Void
    ) rethrows -> Int64 {
        vulkan_fault_begin(function, .max, 0, false)
        try body(subject)
        return vulkan_fault_end().calls
    }
}

/// Which tests need a device.
func needsDevice() -> ConditionTrait {
    .enabled(if: FaultyVulkan.isAvailable, "no Vulkan device here will do")
}
