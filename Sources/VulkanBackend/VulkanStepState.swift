//! A sequence's next token and its place, kept on the device.

internal import CShaders
internal import Tensors
internal import VulkanCompute

/// The memory of steps: all of it made at once.
final class VulkanStepState: StepState {
    let shape: StepShape
    /// `thimble_step`, and the angles behind it.
    let step: DeviceBuffer
    /// `thimble_sampling`
    let sampling: DeviceBuffer
    /// Uint32 `[vocabulary]`, as `sample` counts.
    let counts: DeviceBuffer
    let drawScratch: DeviceBuffer
    /// Int32 `[ringSize]`, where the host sees it.
    let ring: DeviceBuffer
    /// Int32 `[pages of the context]`
    let blockTable: DeviceBuffer
    /// Float32 `[pairs]`: frequencies.
    let rotary: DeviceBuffer
    /// Float32 `[query heads | key heads | value heads, head size]`, of which codes are made; nil where pages
    /// hold float16.
    let product: DeviceBuffer?
    /// Float32 `[splits, query heads, head size + 2]`
    let parts: DeviceBuffer
    /// Uint32 `[kv heads][THIMBLE_ATTENTION_JOINED]`, zero between steps.
    let arrived: DeviceBuffer
    /// `thimble_link` of each stage of a step, and claims of shares.
    let links: DeviceBuffer
    /// `thimble_project_vector` of each projection of a step whose dispatches wait by themselves.
    let projections: DeviceBuffer
    /// Ranges that attention's positions are cut in.
    let splits: Int
    /// Where the attention goes that was recorded last, while nothing has been made of its parts: the
    /// address of an activation that nobody writes, by which the projection of it is known. Nil but while a
    /// step is recorded, for an address may be another activation's later.
    var attended: UInt64?
    /// Pages that the device knows.
    var pages: [Int32] = []
    /// The backend's when it learnt of them.
    var faultCount = 0

    /// More than a run of steps draws.
    static let ringSize = 64

    init(_ shape: StepShape, splits: Int, on device: VulkanDevice) throws(VulkanError) {
        self.shape = shape
        self.splits = splits
        let pageCount = (shape.contextLength + shape.pageTokens - 1) / shape.pageTokens
        step = try DeviceBuffer(device, byteCount: Int(THIMBLE_STEP_ANGLES) + 2 * 4 * shape.frequencies.count)
        sampling = try DeviceBuffer(device, byteCount: MemoryLayout<thimble_sampling>.stride)
        counts = try DeviceBuffer(device, byteCount: shape.vocabularySize * 4)
        drawScratch = try DeviceBuffer(device, byteCount: 65536 + 4 * shape.vocabularySize)
        ring = try DeviceBuffer(device, byteCount: Self.ringSize * 4, kind: .host)
        blockTable = try DeviceBuffer(device, byteCount: pageCount * 4)
        rotary = try DeviceBuffer(device, byteCount: max(shape.frequencies.count * 4, 4))
        let outputs = (shape.queryHeads + 2 * shape.kvHeads) * shape.headSize
        product = shape.kvType == .f16 ? nil : try DeviceBuffer(device, byteCount: outputs * 4)
        parts = try DeviceBuffer(
            device, byteCount: splits * shape.queryHeads * (shape.headSize + 2) * 4)
        arrived = try DeviceBuffer(
            device, byteCount: shape.kvHeads * Int(THIMBLE_ATTENTION_JOINED) * 4)
        links = try DeviceBuffer(
            device, byteCount: StepChain.linkCapacity * MemoryLayout<thimble_link>.stride)
        projections = try DeviceBuffer(
            device, byteCount: StepChain.capacity * MemoryLayout<thimble_project_vector>.stride)
        pages.reserveCapacity(pageCount)
    }
}

/// A step as the stream recorded it.
final class VulkanStep: RecordedStep {
    let recording: CommandStream.Recording
    /// What it reads must live as long.
    let state: VulkanStepState

    init(_ recording: CommandStream.Recording, _ state: VulkanStepState) {
        self.recording = recording
        self.state = state
    }
}
