//! What a backend does aside that has nothing to do it with: at once, in its turn.

extension Backend {
    public func read(
        _ memory: any BackendMemory, _ bytes: Range<Int>, into target: UnsafeMutableRawBufferPointer
    ) throws(BackendError) {
        precondition(target.count == bytes.count)
        var done = 0
        try unsafe read(memory, [bytes]) { piece in
            unsafe UnsafeMutableRawBufferPointer(rebasing: target[done..<done + piece.count])
                .copyMemory(from: piece)
            done += piece.count
        }
    }

    public func mark() -> BackendMark { BackendMark(0) }

    public func fillAside<E: Error>(
        _ memory: any BackendMemory, _ bytes: Range<Int>, after mark: BackendMark,
        _ body: (_ within: Range<Int>, UnsafeMutableRawBufferPointer) throws(E) -> Void
    ) throws(E) {
        try unsafe fill(memory, bytes) { (target) throws(E) in try unsafe body(0..<bytes.count, target) }
    }

    public func readAside(
        _ memory: any BackendMemory, _ runs: [Range<Int>], after mark: BackendMark,
        _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(BackendError) { try unsafe read(memory, runs, body) }

    public func reach(
        _ bytes: UnsafeRawBufferPointer, of owner: any BackendMemory
    ) -> (any BackendMemory)? { nil }

    public func copyAside(
        _ reached: any BackendMemory, to memory: any BackendMemory, after mark: BackendMark
    ) { preconditionFailure("only what is reached is copied") }

    public func joinAside() {}
}
