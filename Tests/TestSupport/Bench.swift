//! A backend under test: random numbers into its memory, numbers out of it, and a watch on what lies beside.

public import Tensors

/// A backend with a few ways to put numbers in and take them out. Two benches of one seed draw the same.
public struct Bench {
    public let backend: any Backend
    public var generator: SeededGenerator
    /// Whether matrices are of float32 that hold what weights are worth as float16: multiplied as they are,
    /// where codes would be multiplied by codes.
    private let expandsWeights: Bool
    /// What was made, so that it outlives the operations that are queued.
    private var memories: [any BackendMemory] = []

    /// Elements of a pattern before and behind every activation. 64 bytes, as operands are aligned.
    private static let guardCount = 16
    /// Bits that no operation leaves: a number that is none, of its own kind.
    private static let guardValue = Float(bitPattern: 0xffc5_a5a5)

    /// A bench of `backend`, which is lent scratch that is full of what is no number.
    public init(
        _ backend: any Backend, seed: UInt64 = 11, scratchByteCount: Int = 1 << 24,
        expandsWeights: Bool = false
    ) throws {
        self.backend = backend
        self.expandsWeights = expandsWeights
        generator = SeededGenerator(seed: seed)
        let scratch = try makeMemory(byteCount: 64 + scratchByteCount)
        unsafe backend.fill(scratch, 0..<scratch.byteCount) { bytes in
            unsafe bytes.initializeMemory(as: UInt8.self, repeating: 0xff)
        }
        backend.useScratch(scratch, bytes: 64..<scratch.byteCount)
    }

    /// Zeroed memory that lives as long as the bench.
    public mutating func makeMemory(byteCount: Int) throws -> any BackendMemory {
        let memory = try backend.makeMemory(byteCount: byteCount, label: "test")
        memories.append(memory)
        return memory
    }

    public mutating func random(
        _ rows: Int, _ columns: Int, in range: ClosedRange<Float> = -1...1
    ) throws -> (Activation, [Float]) {
        let values = generator.floats(rows * columns, in: range)
        return (try activation(values, rows, columns), values)
    }

    /// An activation that holds `values`, the guard's pattern on both sides of it.
    public mutating func activation(_ values: [Float], _ rows: Int, _ columns: Int) throws -> Activation {
        let pattern = [Float](repeating: Self.guardValue, count: Self.guardCount)
        let whole = pattern + values + pattern
        let memory = try makeMemory(byteCount: whole.count * 4)
        backend.write(whole, to: Activation(memory, rows: 1, columns: whole.count))
        guarded.append((memory, values.count))
        return Activation(memory, offset: Self.guardCount * 4, rows: rows, columns: columns)
    }

    private var guarded: [(memory: any BackendMemory, count: Int)] = []

    /// Whether the patterns beside all activations are as they were: whether nothing was written there.
    public func guardsAreWhole() throws -> Bool {
        try guarded.allSatisfy { memory, count in
            let whole = try values(Activation(memory, rows: 1, columns: count + 2 * Self.guardCount))
            return (whole.prefix(Self.guardCount) + whole.suffix(Self.guardCount)).allSatisfy {
                $0.bitPattern == Self.guardValue.bitPattern
            }
        }
    }

    public func values(_ activation: Activation) throws -> [Float] { try backend.values(of: activation) }

    /// The float16 bits that a memory holds. Precondition: its size is a multiple of 4.
    public func halves(of memory: any BackendMemory) throws -> [UInt16] {
        try values(Activation(memory, rows: 1, columns: memory.byteCount / 4)).flatMap {
            [UInt16(truncatingIfNeeded: $0.bitPattern), UInt16(truncatingIfNeeded: $0.bitPattern >> 16)]
        }
    }

    public mutating func vector(_ count: Int) throws -> (Vector, [Float]) {
        let (activation, values) = try random(1, count)
        return (Vector(activation.memory, offset: activation.offset, count: count), values)
    }

    public mutating func matrix(_ rows: Int, _ columns: Int, _ format: WeightFormat) throws -> Matrix {
        let tiled = TiledMatrix.random(rows: rows, columns: columns, format: format, using: &generator)
        guard expandsWeights, format != .f32 else { return try matrix(tiled) }
        return try matrix(
            TiledMatrix(rows: rows, columns: columns, format: .f32) { row, k in
                Float(Float16(tiled.values[row * columns + k]))
            })
    }

    /// A float32 matrix, and what its elements are.
    public mutating func matrix(_ rows: Int, _ columns: Int) throws -> (Matrix, [Float]) {
        let tiled = TiledMatrix.random(rows: rows, columns: columns, format: .f32, using: &generator)
        return (try matrix(tiled), tiled.values)
    }

    private mutating func matrix(_ tiled: TiledMatrix) throws -> Matrix {
        let memory = try makeMemory(byteCount: tiled.codes.count + tiled.layout.scalesByteCount)
        unsafe backend.fill(memory, 0..<memory.byteCount) { bytes in
            unsafe bytes.copyBytes(from: tiled.codes)
            unsafe tiled.scales.withUnsafeBytes {
                unsafe UnsafeMutableRawBufferPointer(rebasing: bytes[tiled.codes.count...]).copyMemory(
                    from: $0)
            }
        }
        return Matrix(
            layout: tiled.layout, memory: memory, codesOffset: 0, scalesOffset: tiled.codes.count)
    }
}
