//! Memory of a Vulkan device, as the models see it.

internal import CShaders
internal import Tensors
internal import VulkanCompute

/// One device buffer.
///
/// Sendable, for it says no more than where it is; the backend that made it belongs to one thread at a time.
final class VulkanMemory: BackendMemory, @unchecked Sendable {
    let buffer: DeviceBuffer
    /// Nil where the memory is the host's, and the device only reaches it.
    private let drawn: DrawnBytes?
    var byteCount: Int { buffer.byteCount }

    init(_ buffer: DeviceBuffer, _ drawn: consuming DrawnBytes) {
        self.buffer = buffer
        self.drawn = consume drawn
    }

    init(reaching buffer: DeviceBuffer) {
        self.buffer = buffer
        drawn = nil
    }
}

/// The backend's view of a memory. Traps for memory that another backend made.
func deviceBuffer(_ memory: any BackendMemory) -> DeviceBuffer {
    guard let memory = memory as? VulkanMemory else { preconditionFailure("memory of another backend") }
    return memory.buffer
}

extension Activation {
    /// Where shaders find the first element.
    var address: UInt64 { deviceBuffer(memory).address + UInt64(offset) }
    var byteCount: Int { rows * columns * 4 }
}

extension Vector {
    var address: UInt64 { deviceBuffer(memory).address + UInt64(offset) }
}

extension Matrix {
    var codesAddress: UInt64 { deviceBuffer(memory).address + UInt64(codesOffset) }
    var scalesAddress: UInt64 { deviceBuffer(memory).address + UInt64(scalesOffset) }
}

extension PagedKV {
    /// Of page 0 of the layer.
    var address: UInt64 { deviceBuffer(memory).address + UInt64(offset) }
}

extension KVType {
    /// As the shaders call it.
    var constant: UInt32 {
        switch self {
        case .f16: UInt32(THIMBLE_PAGES_F16)
        case .int8: UInt32(THIMBLE_PAGES_INT8)
        case .int5: UInt32(THIMBLE_PAGES_INT5)
        }
    }
}
