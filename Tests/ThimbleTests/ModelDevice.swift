//! Where a test runs a whole model: on the CPU, or on a Vulkan device with every call watched.

import Memory
import ModelFile
import TestSupport
import Testing
import VulkanCompute

@testable import Thimble

/// A device to open engines on.
struct ModelDevice {
    private let choice: DeviceChoice
    private let vulkan: VulkanAccess
    /// Where what the driver compiles is kept from one engine to the next.
    private let folder: TemporaryDirectory?

    static var cpu: ModelDevice { ModelDevice() }

    private init() {
        choice = .cpu
        vulkan = VulkanAccess()
        folder = nil
    }

    /// The device that `vulkan` has found.
    init(_ vulkan: ValidatedVulkan) throws {
        let folder = try TemporaryDirectory()
        choice = .vulkan(vulkan.physical.index)
        self.vulkan = VulkanAccess(
            open: { () throws(VulkanError) in vulkan.instance },
            pipelines: PipelineStore(folder: folder.path("pipelines")))
        self.folder = folder
    }

    /// `change` may ask for more.
    func engine(
        _ modelPath: String, threads: Int = 2, contextLength: Int? = nil, ledger: Ledger? = nil,
        _ change: (inout EngineOptions) -> Void = { _ in }
    ) throws -> Engine {
        let options = options(threads, contextLength, change)
        return try Engine(modelPath: modelPath, options: options, vulkan: vulkan, ledger: ledger)
    }

    /// What `engine` would be planned as.
    func plan(
        _ modelPath: String, threads: Int = 2, contextLength: Int? = nil,
        _ change: (inout EngineOptions) -> Void = { _ in }
    ) throws -> Plan {
        let options = options(threads, contextLength, change)
        let file = try ModelFile(path: modelPath)
        return try Engine.openAndPlan(
            options, threadCount: threads, for: ModelOutline(file), modelPath, Ledger(options.limits), vulkan
        ).plan
    }

    private func options(
        _ threads: Int, _ contextLength: Int?, _ change: (inout EngineOptions) -> Void
    ) -> EngineOptions {
        var options = EngineOptions()
        options.device = choice
        options.threadCount = threads
        options.contextLength = contextLength
        change(&options)
        return options
    }
}

/// Every test of a model on a Vulkan device. One at a time, for the device belongs to one thread at a time.
@Suite(
    .serialized,
    .enabled(
        if: ValidatedVulkan.isAvailable,
        "this machine has no Vulkan 1.3 that will do, or no Khronos validation layer"))
enum VulkanModelTests {
    /// A message of the validation layer fails the test whose call it is about.
    nonisolated(unsafe) private static let opened = Result {
        let vulkan = try ValidatedVulkan { Issue.record("validation: \($0)") }
        return (vulkan, try ModelDevice(vulkan))
    }

    static var vulkan: ValidatedVulkan { get throws { try unsafe opened.get().0 } }
    /// One for all tests, so that each shader is compiled once.
    static var device: ModelDevice { get throws { try unsafe opened.get().1 } }
}
