//! Holds what becomes of an operation's fault: the next synchronize throws it, once.

import Tensors
import Testing

@testable import CPUBackend

@Test func aFaultComesOutOfSynchronizeOnce() throws {
    let backend = CPUBackend(threadCount: 1)
    var ran = 0
    backend.perform { () throws(BackendError) in throw BackendError(.outOfMemory, "first") }
    backend.perform { ran += 1 }
    backend.perform { () throws(BackendError) in throw BackendError(.outOfMemory, "second") }
    let error = #expect(throws: BackendError.self) { try backend.synchronize() }
    #expect(error?.message == "first" && ran == 0)
    try backend.synchronize()
    backend.perform { ran += 1 }
    #expect(ran == 1)
}

@Test func scratchThatIsRefusedIsAnError() {
    let scratch = Scratch()
    let error = #expect(throws: BackendError.self) {
        _ = try unsafe scratch.take(.product, 1 << 55, as: Float.self)
    }
    #expect(error?.code == .outOfMemory && error?.message.contains("product") == true)
}
