//! A Vulkan device as a backend: operations become dispatches in one stream.

public import Tensors
public import VulkanCompute

/// Runs operations on a device, in the order asked, each after what the one before wrote.
///
/// Not safe to call from several threads at a time. A fault of the device while operations are queued is
/// kept, and thrown by the next `read` or `synchronize`: what was asked in between is not done. After that
/// the backend computes again, unless the device is lost.
public final class VulkanBackend: Backend {
    public let device: VulkanDevice
    let stream: CommandStream
    var library: PipelineLibrary
    private let staging: StagingRing
    private let windows = HostWindows()
    /// The way of what comes beside what is computed; nil until something does.
    private(set) var aside: AsideWay?
    /// Whether the device copies from the host's memory in place, where it can.
    public var reachesHost = true
    /// Host memory that activations are read through: as large as the largest ever read.
    var readback: DeviceBuffer
    private var scratch: (memory: any BackendMemory, bytes: Range<Int>)?
    var tables: BlockTableCache
    /// Room for the image that was cut last.
    var image: ImageMemory?
    /// Tokens on their way to an embedding.
    private var small: DeviceBuffer
    /// A fault outside the stream: a pipeline that could not be made.
    private var fault: VulkanError?
    /// Counts faults. What was to be brought to the device before one may never have come there.
    private(set) var faultCount = 0
    /// The state of the step that is being recorded.
    var recordingState: VulkanStepState?
    /// Whether dispatches of a step wait for each other by themselves. Tests hold both ways to each other.
    var chainsSteps: Bool
    /// For tests: workgroups that dispatches of several projections lack, as if the device started them late.
    var absentGroups = 0
    /// The links of that step, where dispatches can wait for each other.
    var chain: StepChain?
    /// Where the time of each dispatch is kept, while that is asked for.
    var profile: DispatchProfile?
    /// How many rows go through a projection together.
    var rowBlocks: RowBlocks
    let vectorTuning: VectorTuning
    /// Nil where nothing goes by cooperative matrices.
    let matrices: MatrixTuning?
    let matrixUse: MatrixUse
    /// Uint32 `[16, 16]`: where an element of a matrix lies in a block; nil for blocks row by row.
    var matrixOrder: DeviceBuffer?
    /// Uint32 `[MatrixTuning.mostTilesWhenSplit]`, zero between products.
    private(set) var splitCounters: DeviceBuffer?
    /// Room for the tokens that a run of steps has drawn.
    var drawnTokens = [Int32](repeating: 0, count: VulkanStepState.ringSize)
    let subgroupSize: Int

    private static let stagingByteCount = 4 << 20
    private static let readbackByteCount = 1 << 20
    private static let smallByteCount = 1 << 20

    private let account: (any MemoryAccount)?

    /// What the backend takes of the host's memory, in bytes, where the largest thing that is filled has
    /// `largestFill`.
    public static func hostByteCount(largestFill: Int) -> Int {
        stagingByteCount + readbackByteCount + HostWindows.count * largestFill
    }

    /// Computes on `device`. `pipelines` is what `pipelineCache()` of an earlier run gave; nothing is lost
    /// but time without it. The device's memory is drawn from `account`.
    public convenience init(
        _ device: VulkanDevice, pipelines: [UInt8] = [], account: (any MemoryAccount)? = nil
    ) throws(VulkanError) {
        try self.init(device, pipelines: pipelines, account: account, matrixUse: .usual(on: device.physical))
    }

    /// Tests hold each use of cooperative matrices to the CPU.
    init(
        _ device: VulkanDevice, pipelines: [UInt8] = [], account: (any MemoryAccount)? = nil,
        matrixUse: MatrixUse
    ) throws(VulkanError) {
        self.account = account
        self.matrixUse = matrixUse
        self.device = device
        stream = try CommandStream(device)
        library = try PipelineLibrary(device, saved: pipelines)
        staging = try StagingRing(device, byteCount: Self.stagingByteCount)
        readback = try DeviceBuffer(device, byteCount: Self.readbackByteCount, kind: .host)
        tables = BlockTableCache()
        small = try DeviceBuffer(device, byteCount: Self.smallByteCount)
        rowBlocks = RowBlocks(processors: device.physical.processorCount)
        chainsSteps = device.physical.startsWorkgroupsInOrder
        vectorTuning = VectorTuning(device.physical, matrixUse)
        subgroupSize = device.physical.subgroupSize
        matrices = matrixUse >= .products ? MatrixTuning(device.physical) : nil
        if matrices != nil {
            let counters = try DeviceBuffer(device, byteCount: MatrixTuning.mostTilesWhenSplit * 4)
            stream.zero(counters)
            splitCounters = counters
            if matrixUse >= .lanes { try findMatrixOrder() }
        }
    }

    /// What the driver has compiled so far, to be kept for the next run; nil if it is what was given.
    public func pipelineCache() throws(VulkanError) -> [UInt8]? {
        library.isChanged ? try library.save() : nil
    }

    // MARK: Memory

    public func makeMemory(
        byteCount: Int, label: String, use: MemoryUse
    ) throws(BackendError) -> any BackendMemory {
        let drawn = try DrawnBytes(byteCount, of: .device, for: label, from: account)
        do {
            let buffer = try DeviceBuffer(device, byteCount: byteCount)
            // Weights are filled whole.
            if case .working = use { stream.zero(buffer) }
            return VulkanMemory(buffer, drawn)
        } catch { throw BackendError(error, doing: "for \(label)") }
    }

    public func useScratch(_ memory: any BackendMemory, bytes: Range<Int>) {
        precondition(bytes.lowerBound >= 0 && bytes.upperBound <= memory.byteCount)
        precondition(bytes.lowerBound % 64 == 0)
        scratch = (memory, bytes)
    }

    /// Where the scratch begins, which must have `byteCount` bytes.
    func scratchAddress(_ byteCount: Int) -> UInt64 {
        guard let scratch, byteCount <= scratch.bytes.count else {
            preconditionFailure("the scratch lent is as large as the largest operation")
        }
        return deviceBuffer(scratch.memory).address + UInt64(scratch.bytes.lowerBound)
    }

    public func fill<E: Error>(
        _ memory: any BackendMemory, _ bytes: Range<Int>,
        _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        precondition(bytes.lowerBound >= 0 && bytes.upperBound <= memory.byteCount)
        if bytes.isEmpty { return unsafe try body(UnsafeMutableRawBufferPointer(start: nil, count: 0)) }
        let buffer = deviceBuffer(memory)
        if bytes.count <= staging.mostAtOnce {
            return unsafe try staging.write(
                bytes.count, to: buffer, at: bytes.lowerBound, in: stream, body)
        }
        if let mapped = unsafe buffer.mapped {
            waitForFill()
            return unsafe try body(UnsafeMutableRawBufferPointer(rebasing: mapped[bytes]))
        }
        try unsafe fillThroughHost(buffer, bytes, body)
    }

    /// Lends bytes of the host to be filled, and copies them to `buffer` in their turn.
    ///
    /// Precondition: they are positive, and at most what the staging memory takes at once.
    func write(
        _ byteCount: Int, to buffer: DeviceBuffer, at offset: Int,
        _ body: (UnsafeMutableRawBufferPointer) -> Void
    ) {
        unsafe staging.write(byteCount, to: buffer, at: offset, in: stream, body)
    }

    var mostWrittenAtOnce: Int { staging.mostAtOnce }

    /// Brings small numbers to the device; returns where the next operation finds them.
    func stage(_ byteCount: Int, _ body: (UnsafeMutableRawBufferPointer) -> Void) -> UInt64 {
        precondition(byteCount <= small.byteCount)
        unsafe write(byteCount, to: small, at: 0, body)
        return small.address
    }

    /// What was asked before may still use the bytes. A fault shows at the next `read` or `synchronize`.
    private func waitForFill() {
        do { try wait() } catch { keep(error) }
    }

    /// Fills device memory that the host does not see, or only slowly, through host memory.
    private func fillThroughHost<E: Error>(
        _ buffer: DeviceBuffer, _ bytes: Range<Int>, _ body: (UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        let window: HostWindows.Window
        do { window = try windows.take(bytes.count, on: device, stream) } catch { return keep(error) }
        defer { windows.giveBack(window) }
        guard let mapped = unsafe window.buffer.mapped else {
            preconditionFailure("the host sees host memory")
        }
        try unsafe body(UnsafeMutableRawBufferPointer(rebasing: mapped[..<bytes.count]))
        do { try windows.copy(from: window, to: buffer, bytes, stream) } catch { keep(error) }
    }

    public func read(
        _ activation: Activation, _ body: (UnsafeBufferPointer<Float>) -> Void
    ) throws(BackendError) {
        let byteCount = activation.byteCount
        do throws(VulkanError) {
            if byteCount > readback.byteCount {
                readback = try DeviceBuffer(device, byteCount: byteCount, kind: .host)
            }
            if byteCount > 0 {
                stream.copy(
                    from: deviceBuffer(activation.memory), at: activation.offset, to: readback, at: 0,
                    byteCount: byteCount)
                stream.publishToHost()
            }
            try wait()
        } catch { throw BackendError(error, doing: "while computing") }
        guard let mapped = unsafe readback.mapped else { preconditionFailure("the host sees host memory") }
        unsafe body(
            UnsafeBufferPointer(
                start: mapped.baseAddress!.assumingMemoryBound(to: Float.self), count: byteCount / 4))
    }

    public func synchronize() throws(BackendError) {
        do { try wait() } catch { throw BackendError(error, doing: "while computing") }
    }

    func wait() throws(VulkanError) {
        do { try stream.wait() } catch { keep(error) }
        do { try aside?.stream.throwFault() } catch { keep(error) }
        try throwFault()
        staging.releaseAll()
        windows.release()
    }

    /// The way aside, made when it is first asked for; nil after a fault, which is kept.
    func openAside() -> AsideWay? {
        if fault != nil { return nil }
        if let aside { return aside }
        do { aside = try AsideWay(device) } catch { keep(error) }
        return aside
    }

    /// Whether a fault is kept.
    var hasFault: Bool { fault != nil }

    /// Keeps the first fault of what cannot throw.
    func keep(_ error: VulkanError) { fault = fault ?? error }

    /// Throws the fault that was kept, once.
    private func throwFault() throws(VulkanError) {
        guard let fault else { return }
        self.fault = nil
        faultCount += 1
        device.drain()
        tables = BlockTableCache()
        throw fault
    }

    // MARK: Dispatches

    /// Queues a run of a shader. `constants` are those from id 2 on; `shape` says in a profile what it was
    /// for.
    func dispatch<Parameters: BitwiseCopyable>(
        _ shader: String, workgroup: Int, constants: [UInt32] = [], _ parameters: Parameters,
        groups: (Int, Int, Int), shape: @autoclosure () -> String = ""
    ) {
        dispatchSegment()
        chain?.interrupt()
        queue(
            shader, workgroup: workgroup, constants: constants, parameters, groups: groups, shape: shape())
    }

    /// The same, for a shader that has a form which waits for the dispatch before by itself.
    func dispatchLinked<Parameters: BitwiseCopyable>(
        _ shader: String, workgroup: Int, constants: [UInt32], groups: (Int, Int, Int),
        shape: @autoclosure () -> String = "", _ parameters: (_ link: UInt64) -> Parameters
    ) {
        dispatchSegment()
        let link = chain?.add(groups: groups.0 * groups.1 * groups.2)
        if let link, link.isIndependent { stream.markIndependent() }
        queue(
            link == nil ? shader : shader + "_linked", workgroup: workgroup, constants: constants,
            parameters(link?.link ?? 0), groups: groups, shape: shape())
    }

    /// Queues a run as it is, whatever it waits for.
    func queue<Parameters: BitwiseCopyable>(
        _ shader: String, workgroup: Int, constants: [UInt32], _ parameters: Parameters,
        groups: (Int, Int, Int), shape: @autoclosure () -> String = ""
    ) {
        if fault != nil { return }
        do {
            let key = PipelineKey(
                shader: shader, constants: [UInt32(workgroup), UInt32(subgroupSize)] + constants)
            stream.dispatch(try library.pipeline(key), parameters, groups: groups)
            guard let profile else { return }
            let shape = shape()
            profile.add(shape.isEmpty ? shader : "\(shader) \(shape)", in: stream)
        } catch { keep(error) }
    }
}

extension BackendError {
    init(_ error: VulkanError, doing what: String) {
        switch error.code {
        case .outOfMemory:
            self.init(
                .outOfMemory, "\(error), \(what); try a smaller --context or --device cpu",
                deviceResult: error.result)
        case .deviceLost, .failed, .unavailable:
            self.init(
                .deviceLost, "\(error), \(what); start again, or use --device cpu",
                deviceResult: error.result)
        }
    }
}
