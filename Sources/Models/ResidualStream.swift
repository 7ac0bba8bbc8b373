//! The residual stream, on its way through the layers of a part and from one part to the next.

internal import Tensors

/// The residual stream on its way through the layers.
struct ResidualStream {
    private(set) var residual: Activation
    /// Where the next sum goes.
    private(set) var next: Activation
    /// What the block before has computed, and has yet to join.
    let delta: Activation
    /// Whether the residual has come to lie where the next sum went when this was made.
    private var isTurned = false

    init(_ work: DecoderWork, rows: Int) {
        residual = work.residuals.0.rows(0..<rows)
        next = work.residuals.1.rows(0..<rows)
        delta = work.delta.rows(0..<rows)
    }

    private init(residual: Activation, next: Activation, delta: Activation) {
        self.residual = residual
        self.next = next
        self.delta = delta
    }

    func rows(_ range: Range<Int>) -> ResidualStream {
        ResidualStream(residual: residual.rows(range), next: next.rows(range), delta: delta.rows(range))
    }

    /// The sum has been asked for: it is the residual from now on.
    mutating func advance() {
        swap(&residual, &next)
        isTurned.toggle()
    }

    /// Goes on as its rows have gone that `rows` are the last of.
    mutating func advance(like rows: ResidualStream) {
        if rows.isTurned { advance() }
    }

    /// The stream in the memory of the part that follows. Throws `backend` for a fault of either device.
    func handedOver(from part: ModelPart, to other: ModelPart) throws(ModelError) -> ResidualStream {
        let stream = ResidualStream(other.work, rows: delta.rows)
        try residual.handOver(from: part.backend, to: stream.residual, on: other.backend)
        try delta.handOver(from: part.backend, to: stream.delta, on: other.backend)
        return stream
    }
}

extension Activation {
    /// Numbers that are handed over at once: so few that a GPU's staging memory takes them, and none is made.
    private static let handedOverAtOnce = 1 << 16

    /// Copies these numbers to `other`, of one shape, in the memory of another backend. What was asked of
    /// this one is waited for. Throws `backend` for a fault of it.
    func handOver(
        from backend: any Backend, to other: Activation, on otherBackend: any Backend
    ) throws(ModelError) {
        precondition(rows == other.rows && columns == other.columns)
        let most = max(1, Self.handedOverAtOnce / columns)
        for start in stride(from: 0, to: rows, by: most) {
            let run = start..<min(start + most, rows)
            do {
                try unsafe backend.read(rows(run)) { source in
                    unsafe otherBackend.fill(other.rows(run)) { target in
                        unsafe target.update(from: source.baseAddress!, count: source.count)
                    }
                }
            } catch { throw .backend(error) }
        }
    }
}
