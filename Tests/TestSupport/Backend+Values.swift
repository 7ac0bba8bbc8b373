//! Numbers into a backend's memory and out of it, and scratch for operations that no model has planned.

public import Tensors

extension Backend {
    /// Copies `values` into an activation of as many elements.
    public func write(_ values: [Float], to activation: Activation) {
        precondition(values.count == activation.rows * activation.columns)
        let bytes = activation.offset..<activation.offset + values.count * 4
        unsafe fill(activation.memory, bytes) { memory in
            unsafe values.withUnsafeBytes { unsafe memory.copyMemory(from: $0) }
        }
    }

    /// The numbers of an activation.
    public func values(of activation: Activation) throws -> [Float] {
        var values: [Float] = []
        try unsafe read(activation) { unsafe values.append(contentsOf: $0) }
        return values
    }

    /// Lends scratch of the backend's own memory.
    public func useScratch(byteCount: Int) throws {
        useScratch(try makeMemory(byteCount: byteCount, label: "scratch"), bytes: 0..<byteCount)
    }
}
