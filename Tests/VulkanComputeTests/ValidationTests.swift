//! Holds the watch over all tests of Vulkan: what the validation layer would find is heard.

import TestSupport
import Testing
import Threads
import VulkanCompute

/// What a listener was told.
private final class Messages: Sendable {
    private let heard = Monitor<[String]>([])
    var all: [String] { heard.withLock { $0 } }
    func add(_ message: String) { heard.withLock { $0.append(message) } }
}

extension VulkanComputeTests {
    @Suite(.enabled(if: ValidatedVulkan.hasLayer, "this machine has no Khronos validation layer"))
    struct ValidationTests {
        @Test func aRaceIsHeard() throws {
            let messages = Messages()
            let vulkan = try ValidatedVulkan { messages.add($0) }
            let stream = try CommandStream(vulkan.device)
            let x = try DeviceBuffer(vulkan.device, byteCount: 64)
            let y = try DeviceBuffer(vulkan.device, byteCount: 64)
            stream.zero(x)
            stream.copy(from: x, at: 0, to: y, at: 0, byteCount: 64)
            #expect(messages.all.isEmpty)
            // It does depend on the copy before.
            stream.markIndependent()
            stream.copy(from: y, at: 0, to: x, at: 0, byteCount: 64)
            try stream.wait()
            #expect(messages.all.contains { $0.contains("HAZARD") }, "\(messages.all)")
        }

        @Test func aWrongCallIsHeard() throws {
            let messages = Messages()
            let vulkan = try ValidatedVulkan { messages.add($0) }
            let stream = try CommandStream(vulkan.device)
            let x = try DeviceBuffer(vulkan.device, byteCount: 64)
            // A copy onto itself.
            stream.copy(from: x, at: 0, to: x, at: 4, byteCount: 32)
            #expect(messages.all.contains { $0.contains("vkCmdCopyBuffer") }, "\(messages.all)")
        }
    }
}
