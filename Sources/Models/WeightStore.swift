//! Weights that are not all in memory at once: where each lives, and who waits for it.

internal import Memory
internal import ModelFile
internal import Tensors
internal import Threads

/// A matrix of a model, wherever it lives.
struct WeightMatrix {
    let layout: WeightLayout
    let place: Place

    enum Place {
        /// Held from load to end.
        case resident(any BackendMemory, codes: Int, scales: Int)
        /// In a unit of the phase that uses it; offsets from the unit's start.
        case unit(Int, codes: Int, scales: Int)
    }

    init(_ matrix: Matrix) {
        layout = matrix.layout
        place = .resident(matrix.memory, codes: matrix.codesOffset, scales: matrix.scalesOffset)
    }

    /// The matrix of one that is held from load to end; nil for one that is not.
    var held: Matrix? {
        guard case .resident(let memory, let codes, let scales) = place else { return nil }
        return Matrix(layout: layout, memory: memory, codesOffset: codes, scalesOffset: scales)
    }

    /// The matrix of one that is held. Precondition: it is.
    var resident: Matrix {
        guard let held else { preconditionFailure("without a store every matrix is resident") }
        return held
    }

    init(layout: WeightLayout, unit: Int, codes: Int, scales: Int) {
        self.layout = layout
        place = .unit(unit, codes: codes, scales: scales)
    }
}

/// What shares the arena in turn.
enum WeightPhase: Int, CaseIterable {
    case decoder, vision
}

/// The arena of weights that come and go, and the threads that fill it ahead of their use.
///
/// A pass begins with `begin` and asks for units in the order of its cycle; each is valid until the next is
/// asked for. Behind the pass the threads go round and round: past its end they read what the next pass will
/// begin with, so that a token does not wait for the disk more than the disk makes it.
///
/// One thread asks. The backend's operations have used a unit before the next one is asked for.
final class WeightStore {
    let arena: any BackendMemory
    private let state: LoadState
    private var threads: JoinedThreads
    private var phase = WeightPhase.decoder
    /// Threads that read, at least: most of the time each waits for the disk, which wants several reads.
    static let leastThreads = 4

    /// Where the pass at hand begins in the order that never ends.
    private var first = 0
    /// The unit asked for last.
    private var current = -1
    /// Where the next measurement of the disk goes on: those before it remember what was read last.
    private var measured = 0

    /// Reads into an arena of `backend`, by `threadCount` threads or as many as the system allows: nothing
    /// before `start`.
    ///
    /// Throws `backend` where memory is refused, `file` where there are no threads.
    /// Precondition: the backend's memory is the host's, and its operations are done when they return.
    init(
        _ residency: Residency, of file: ModelFile, on backend: any Backend, threadCount: Int
    ) throws(ModelError) {
        do {
            arena = try backend.makeMemory(
                byteCount: residency.arenaByteCount, label: "weights that take turns", use: .weights)
        } catch { throw .backend(error) }
        var base = unsafe UnsafeMutableRawBufferPointer(start: nil, count: 0)
        unsafe backend.fill(arena, 0..<residency.arenaByteCount) { unsafe base = unsafe $0 }
        let state = unsafe LoadState(residency, of: file, base: base)
        var threads = JoinedThreads()
        for _ in 0..<threadCount {
            let scratch: RunScratch
            do { scratch = try RunScratch(for: file.path) } catch {
                state.close()
                throw .file(error)
            }
            guard threads.start({ state.work(scratch) }) else { break }
        }
        guard threads.count > 0 else {
            throw .file(ModelFileError(.outOfMemory, file: file.path, "the system allows no thread"))
        }
        self.state = state
        self.threads = threads
    }

    deinit {
        state.close()
        // The arena must outlive them.
        threads.join()
    }

    /// Lets the threads read what the first pass begins with.
    func start() { state.start() }

    /// States that a pass through the units of `phase` begins: from the first one on. Precondition: the
    /// threads were started.
    func begin(_ phase: WeightPhase) {
        let count = state.cycles[phase.rawValue].count
        if phase == self.phase, current == first + count - 1 {
            // The next round of the same pass: what was read ahead is what it begins with.
            first += count
            state.resume()
        } else {
            first = 0
            state.restart(phase)
        }
        self.phase = phase
        current = first - 1
    }

    /// States that the unit asked for last is used no more: others are read into its room before the next
    /// pass asks for them.
    func end() {
        if current >= first { state.free(before: current + 1) }
    }

    /// Lets the threads do `body` with 0, 1, 2 ... before they go on with units, until it says that there is
    /// no more to do; each with its own scratch.
    func together(_ body: @escaping LoadState.ErrandBody) throws(ModelFileError) {
        try state.together(body)
    }

    /// Lets the threads read pieces of a segment, which rise in its image, each block of the file once.
    ///
    /// Precondition: `bytes` have room for all of them.
    func gather(
        _ pieces: [ImagePiece], of segment: Segment, by reader: RunReader,
        into bytes: UnsafeMutableRawBufferPointer
    ) throws(ModelFileError) {
        let runs = RunReader.runs(of: segment, holding: pieces)
        if runs.isEmpty { return }
        let room = unsafe Room(bytes: bytes)
        try together { (number, scratch) throws(ModelFileError) in
            guard number < runs.count else { return false }
            try unsafe reader.read(runs[number], of: segment, pieces, into: room.bytes, scratch)
            return number + 1 < runs.count
        }
    }

    /// Unchecked: each thread writes what its runs hold, and they do not overlap.
    @safe private struct Room: @unchecked Sendable {
        let bytes: UnsafeMutableRawBufferPointer
        init(bytes: UnsafeMutableRawBufferPointer) { unsafe self.bytes = unsafe bytes }
    }

    /// Whether some of the phase's weights pass, and so are read in every pass.
    func passes(_ phase: WeightPhase) -> Bool { state.cycles[phase.rawValue].contains { $0.home == nil } }

    /// Bytes a second at which the threads read what passes of the decoder, and do nothing else; nil where
    /// nothing does. Throws `file`.
    func diskBytesPerSecond(seconds: Double) throws(ModelError) -> Double? {
        do { return try state.bytesPerSecond(.decoder, seconds: seconds, from: &measured) } catch {
            throw .file(error)
        }
    }

    /// Threads that read, and so reads on their way at a time, at most.
    var readerCount: Int { threads.count }
    /// Whether reads go past the system's cache of files, as far as is known.
    var isDirect: Bool { state.isDirect }

    /// Whether the next pass need not wait for the first unit that the phase has.
    var isNextPassBegun: Bool { state.isLoaded(first + state.cycles[phase.rawValue].count) }

    /// Waits until a unit of the phase is in memory; returns where it begins in the arena.
    ///
    /// Throws `file` for a fault of the file: the pass is over then, and the next one tries again.
    /// Precondition: units are asked for in order; some may be left out.
    func unit(_ index: Int) throws(ModelError) -> Int {
        let sequence = first + index
        precondition(sequence >= current, "units come in order")
        current = sequence
        do { return try state.wait(for: sequence) } catch {
            current = -2
            throw .file(error)
        }
    }

    /// The matrix where it lies now; valid until one of another unit is asked for.
    func matrix(_ weight: WeightMatrix) throws(ModelError) -> Matrix {
        guard case .unit(let index, let codes, let scales) = weight.place else { return weight.resident }
        let base = try unit(index)
        return Matrix(
            layout: weight.layout, memory: arena, codesOffset: base + codes, scalesOffset: base + scales)
    }
}
