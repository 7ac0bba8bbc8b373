//! Every shader as the backend has asked for it, compiled once.

internal import CShaders
internal import VulkanCompute

/// A shader and what it is specialised to.
struct PipelineKey: Hashable {
    /// The shader's name: a file of shaders/, with its variant.
    var shader: String
    /// Constants from id 0 on: the workgroup size, the subgroup size, the shader's own.
    var constants: [UInt32]
}

/// Pipelines by what they are specialised to.
struct PipelineLibrary: ~Copyable {
    private let device: VulkanDevice
    private let cache: PipelineCache
    private var pipelines: [PipelineKey: ComputePipeline] = [:]
    /// Whether something was compiled since the cache was last saved.
    private(set) var isChanged = false

    init(_ device: VulkanDevice, saved: [UInt8]) throws(VulkanError) {
        self.device = device
        cache = try PipelineCache(device, saved: saved)
    }

    /// The pipeline of that key, compiled if need be. Precondition: there is such a shader.
    mutating func pipeline(_ key: PipelineKey) throws(VulkanError) -> ComputePipeline {
        if let pipeline = pipelines[key] { return pipeline }
        guard let shader = unsafe thimble_shader_named(key.shader) else {
            preconditionFailure("no shader \(key.shader)")
        }
        // Only what a pipeline is made of is unpacked, and goes when that is made.
        let wordCount = unsafe shader.pointee.byte_count / 4
        var isUnpacked = false
        let words = unsafe [UInt32](unsafeUninitializedCapacity: wordCount) { words, count in
            isUnpacked = unsafe thimble_shader_unpack(shader, words.baseAddress)
            count = isUnpacked ? wordCount : 0
        }
        guard isUnpacked else {
            throw VulkanError(.outOfMemory, "no memory to unpack the shader \(key.shader)")
        }
        let pipeline = unsafe try words.withUnsafeBufferPointer { code throws(VulkanError) in
            unsafe try ComputePipeline(
                device, code: code, constants: key.constants, subgroupSize: Int(key.constants[1]),
                cache: cache)
        }
        pipelines[key] = pipeline
        isChanged = true
        return pipeline
    }

    /// What `init(_:saved:)` of a later run takes.
    mutating func save() throws(VulkanError) -> [UInt8] {
        isChanged = false
        return try cache.data()
    }
}
