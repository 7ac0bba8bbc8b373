//! What is saved of a pipeline cache is used again, and nothing that is damaged or another driver's.

import CVulkan
import TestSupport
import Testing
import Threads

@testable import VulkanCompute

/// Watches what a driver is given to start a pipeline cache with.
private enum GivenBytes {
    private static let given = Monitor<[UInt8]?>(nil)
    static var last: [UInt8]? { given.withLock { $0 } }
    nonisolated(unsafe) private static var original: PFN_vkCreatePipelineCache?

    static func watch(_ functions: UnsafeMutablePointer<thimble_vulkan>) {
        // Called before the function is found, and whenever it is found anew.
        guard let found = unsafe functions.pointee.vkCreatePipelineCache else { return }
        unsafe original = found
        unsafe functions.pointee.vkCreatePipelineCache = { device, information, allocator, cache in
            let bytes = unsafe UnsafeRawBufferPointer(
                start: information!.pointee.pInitialData, count: information!.pointee.initialDataSize)
            GivenBytes.given.withLock { unsafe $0 = Array(bytes) }
            return unsafe GivenBytes.original!(device, information, allocator, cache)
        }
    }
}

extension VulkanComputeTests {
    @Suite struct PipelineCacheTests {
        private func saved() throws -> [UInt8] {
            let cache = try PipelineCache(try device)
            _ = try copyPipeline(cache)
            return try cache.data()
        }

        /// What a driver keeps is its own affair, perhaps nothing: what it is given back is all that can be
        /// held.
        @Test func theDriverIsGivenWhatItGave() throws {
            let instance = unsafe try VulkanInstance(listener: nil) { unsafe GivenBytes.watch($0) }
            let physical = try instance.devices()[device.physical.index]
            let device = try VulkanDevice(physical)
            let saved = try saved()
            let content = PipelineCache.content(of: saved, for: physical.driverIdentity)
            #expect(!content.isEmpty && content.count < saved.count)
            let cache = try PipelineCache(device, saved: saved)
            #expect(GivenBytes.last == content)
            #expect(try cache.data().count >= saved.count)
            _ = try PipelineCache(device)
            #expect(GivenBytes.last == [])
            _ = try PipelineCache(device, saved: Array(saved.dropLast()))
            #expect(GivenBytes.last == [])
        }

        @Test func damageIsRefusedWhereverItIs() throws {
            let saved = try saved()
            let identity = try device.physical.driverIdentity
            for index in saved.indices {
                var damaged = saved
                damaged[index] ^= 1 << UInt8(index % 8)
                #expect(PipelineCache.content(of: damaged, for: identity).isEmpty, "byte \(index)")
            }
            for count in 0..<saved.count {
                let cut = Array(saved.prefix(count))
                #expect(PipelineCache.content(of: cut, for: identity).isEmpty, "\(count) bytes")
            }
            #expect(PipelineCache.content(of: saved + [0], for: identity).isEmpty)
            // A cache that is offered damage starts empty, and works.
            let cache = try PipelineCache(try device, saved: Array(saved.dropLast()))
            _ = try copyPipeline(cache)
        }

        @Test func anotherDriversIsRefused() throws {
            let identity = try device.physical.driverIdentity
            var other = identity
            for index in identity.indices {
                other[index] ^= 0x40
                let file = PipelineCache.file(of: [1, 2, 3], for: other)
                #expect(PipelineCache.content(of: file, for: other) == [1, 2, 3])
                #expect(PipelineCache.content(of: file, for: identity).isEmpty)
                other[index] ^= 0x40
            }
        }
    }
}
