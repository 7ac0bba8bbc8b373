//! The suite of Vulkan as such: one watched device, and the shaders that the tests run on it.

import CShaders
import TestSupport
import Testing
import VulkanCompute

/// Every test of the device. One at a time, for a device belongs to one thread at a time.
@Suite(
    .serialized,
    .enabled(
        if: ValidatedVulkan.isAvailable,
        "this machine has no Vulkan 1.3 that will do, or no Khronos validation layer"))
enum VulkanComputeTests {
    /// A message of the validation layer fails the test whose call it is about.
    nonisolated(unsafe) private static let opened = Result {
        try ValidatedVulkan { Issue.record("validation: \($0)") }
    }

    static var device: VulkanDevice { get throws { try unsafe opened.get().device } }

    /// The shader that copies words, compiled.
    static func copyPipeline(_ cache: borrowing PipelineCache) throws -> ComputePipeline {
        let device = try device
        guard let shader = unsafe thimble_shader_named("copy") else { preconditionFailure("no shader copy") }
        var words = [UInt32](repeating: 0, count: unsafe shader.pointee.byte_count / 4)
        try #require(unsafe thimble_shader_unpack(shader, &words))
        let subgroupSize = device.physical.subgroupSize
        return unsafe try words.withUnsafeBufferPointer { code in
            unsafe try ComputePipeline(
                device, code: code, constants: [64, UInt32(subgroupSize)], subgroupSize: subgroupSize,
                cache: cache)
        }
    }
}

extension DeviceBuffer {
    /// A buffer in the host's reach that holds `words`.
    static func host(_ device: VulkanDevice, _ words: [UInt32]) throws -> DeviceBuffer {
        let buffer = try DeviceBuffer(device, byteCount: words.count * 4, kind: .host)
        guard let mapped = unsafe buffer.mapped else { preconditionFailure("the host sees host memory") }
        unsafe words.withUnsafeBytes { unsafe mapped.copyMemory(from: $0) }
        return buffer
    }

    /// What a buffer in the host's reach holds. The stream has published it, and was waited for.
    var words: [UInt32] {
        guard let mapped = unsafe mapped else { preconditionFailure("the host sees host memory") }
        return unsafe Array(mapped.bindMemory(to: UInt32.self))
    }
}
