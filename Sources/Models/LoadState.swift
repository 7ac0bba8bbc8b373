//! What a store's threads share: which units are in memory, which is next, and where it goes.

internal import HostSystem
internal import Memory
internal import ModelFile
internal import Threads

/// The plan of reading and how far it has come. Nothing here allocates once it is made.
///
/// Unchecked: the arena's bytes of a unit belong to the threads that read it until it is marked as loaded,
/// and to whoever asked for it from then on; the monitor orders the two.
@safe final class LoadState: @unchecked Sendable {
    /// A unit as it is read.
    struct Unit {
        let segment: Int
        let part: ImagePart
        let runs: [BlockRun]
        /// Bytes from the arena's start; nil for one that passes through the ring.
        let home: Int?
    }

    /// By phase: the units in order of use.
    let cycles: [[Unit]]
    private let rings: [Range<Int>]
    private let file: ModelFile
    private let reader: RunReader
    /// Valid as long as the arena lives, which is until the threads have ended.
    private let base: UnsafeMutableRawBufferPointer
    private let progress: Monitor<Progress>

    /// A unit that is being read.
    private struct Job {
        let phase: Int
        let unit: Int
        /// Runs from this one on are yet to be read.
        var nextRun = 0
        var runsInFlight = 0
        let bytes: Range<Int>
        /// Of `Progress`, when it began.
        let attempt: Int
    }

    private struct Progress {
        var phase = 0
        /// The place in the order that never ends which is in use, or will be next.
        var position = 0
        /// The first place that no thread has looked at.
        var next = 0
        /// By phase and unit: where it is in the arena; -1 where it is not.
        var offsets: [[Int]]
        /// By phase: where the ring goes on.
        var ringEnds: [Int]
        var jobs: [Job] = []
        var fault: ModelFileError?
        /// What all threads do before they go on with units; nil for nothing.
        var errand: Errand?
        /// Counts what begins anew: a fault of reading that began before is not its own.
        var attempt = 0
        /// Whether units are read yet.
        var isStarted = false
        var isClosed = false
    }

    /// Something that the threads do together.
    typealias ErrandBody = @Sendable (Int, borrowing RunReader.Scratch) throws(ModelFileError) -> Bool

    private struct Errand {
        let body: ErrandBody
        /// The number that the next thread does it with.
        var next = 0
        var inFlight = 0
        /// Whether nobody begins any more.
        var isOver = false
        var fault: ModelFileError?
    }

    /// Units that are read at a time: while the last runs of one are on their way, others begin the next. Of
    /// small models, several units are no more than a read or two each.
    private static let mostJobs = 4

    init(_ residency: Residency, of file: ModelFile, base: UnsafeMutableRawBufferPointer) {
        self.file = file
        reader = RunReader(file)
        unsafe self.base = unsafe base
        let parts = [residency.decoder, residency.vision]
        cycles = parts.map { cycle in
            zip(cycle.units, cycle.homes).map { unit, home in
                let part = ImagePart(codes: unit.codes, scales: unit.scales)
                return Unit(
                    segment: unit.segment, part: part,
                    runs: RunReader.runs(of: file.segments[unit.segment], holding: part), home: home)
            }
        }
        rings = parts.map(\.ring)
        var progress = Progress(
            offsets: cycles.map { [Int](repeating: -1, count: $0.count) }, ringEnds: rings.map(\.lowerBound))
        progress.jobs.reserveCapacity(Self.mostJobs)
        self.progress = Monitor(progress)
    }

    /// Ends the threads.
    func close() { progress.withLock(waking: .all) { $0.isClosed = true } }

    /// Lets the threads read units.
    func start() { progress.withLock(waking: .all) { $0.isStarted = true } }

    /// Lets reading follow another phase, or the same from its first unit on.
    func restart(_ phase: WeightPhase) {
        progress.withLock(waking: .all) { progress in
            progress.phase = phase.rawValue
            progress.position = 0
            progress.next = 0
            progress.fault = nil
            progress.attempt += 1
        }
    }

    /// Frees every unit before `sequence`, and waits for that one; returns where it begins in the arena.
    func wait(for sequence: Int) throws(ModelFileError) -> Int {
        let isAllThere = progress.withLock { progress in
            progress.position = max(progress.position, sequence)
            return skipLoaded(&progress)
        }
        // Threads have something to do only where something is missing.
        if !isAllThere { progress.withLock(waking: .all) { _ in } }
        let result = progress.wait { progress -> Result<Int, ModelFileError>? in
            let (phase, unit) = (progress.phase, sequence % cycles[progress.phase].count)
            let offset = progress.offsets[phase][unit]
            // Behind `next` it is where it was found or brought, and stays until it is freed.
            if offset >= 0, sequence < progress.next { return .success(offset) }
            return progress.fault.map { .failure($0) }
        }
        return try result.get()
    }

    /// Lets what failed ahead of its use be read again: it is a fault when it is waited for.
    func resume() {
        progress.withLock(waking: .all) { progress in
            progress.attempt += 1
            guard progress.fault != nil else { return }
            progress.fault = nil
            progress.next = progress.position
        }
    }

    /// Frees every unit before `sequence`, which nobody waits for yet.
    func free(before sequence: Int) {
        progress.withLock(waking: .all) { $0.position = max($0.position, sequence) }
    }

    /// Whether a unit is in memory that the threads have come to.
    func isLoaded(_ sequence: Int) -> Bool {
        progress.withLock { progress in
            let unit = sequence % cycles[progress.phase].count
            return sequence < progress.next && progress.offsets[progress.phase][unit] >= 0
        }
    }

    /// What a thread does until the store is closed.
    func work(_ scratch: borrowing RunScratch) {
        enum Step { case read(job: Job, run: Int), errand(ErrandBody, Int), end }
        while true {
            let step = progress.wait { progress -> Step? in
                if progress.isClosed { return .end }
                if let (body, number) = self.nextOfErrand(&progress) { return .errand(body, number) }
                return self.nextRun(&progress).map { .read(job: $0.job, run: $0.run) }
            }
            switch step {
            case .end: return
            case .errand(let body, let number): run(body, number, scratch.scratch)
            case .read(let job, let run): read(job, run: run, scratch.scratch)
            }
        }
    }

    private func read(_ job: Job, run: Int, _ scratch: borrowing RunReader.Scratch) {
        let unit = cycles[job.phase][job.unit]
        var fault: ModelFileError?
        do throws(ModelFileError) {
            unsafe try reader.read(
                unit.runs[run], of: file.segments[unit.segment], unit.part,
                into: UnsafeMutableRawBufferPointer(rebasing: base[job.bytes]), scratch)
        } catch { fault = error }
        progress.withLock(waking: .all) { finish(job, fault, &$0) }
    }

    // MARK: Errands

    /// Lets the threads do `body` with 0, 1, 2 ... before they go on with units, until it says that there is
    /// no more to do; each with its own scratch. Returns when all have ended. Of several faults, one is
    /// thrown.
    func together(_ body: @escaping ErrandBody) throws(ModelFileError) {
        progress.withLock(waking: .all) { $0.errand = Errand(body: body) }
        let fault = progress.wait { progress -> ModelFileError?? in
            guard let errand = progress.errand, errand.isOver, errand.inFlight == 0 else { return nil }
            progress.errand = nil
            return .some(errand.fault)
        }
        if let fault { throw fault }
    }

    private func nextOfErrand(_ progress: inout Progress) -> (body: ErrandBody, number: Int)? {
        guard let errand = progress.errand, !errand.isOver else { return nil }
        progress.errand?.next += 1
        progress.errand?.inFlight += 1
        return (errand.body, errand.next)
    }

    private func run(_ body: ErrandBody, _ number: Int, _ scratch: borrowing RunReader.Scratch) {
        var (isMore, fault) = (false, nil as ModelFileError?)
        do throws(ModelFileError) { isMore = try body(number, scratch) } catch { fault = error }
        progress.withLock(waking: .all) { progress in
            guard var errand = progress.errand else { preconditionFailure("it lasts until all have ended") }
            errand.inFlight -= 1
            errand.isOver = errand.isOver || !isMore
            errand.fault = errand.fault ?? fault
            progress.errand = errand
        }
    }

    /// Waits until the threads have nothing to read before somebody goes on.
    func settle() {
        progress.wait { progress -> Void? in
            guard progress.jobs.isEmpty else { return nil }
            var ahead = progress
            return self.nextRun(&ahead) == nil ? () : nil
        }
    }

    /// Bytes a second at which the threads read what passes in `phase`, and do nothing else, for about so
    /// many seconds; nil where nothing passes. The first read is that with the number `position`, which
    /// becomes that of the read to go on with. Throws what reading may throw.
    func bytesPerSecond(
        _ phase: WeightPhase, seconds: Double, from position: inout Int
    ) throws(ModelFileError) -> Double? {
        let reads = cycles[phase.rawValue].filter { $0.home == nil }.flatMap(\.runs).map(\.fileBytes)
        if reads.isEmpty { return nil }
        settle()
        let reader = self.reader
        let (before, first) = (file.reads.tally, position)
        let start = Moment.now
        let end = start + .seconds(seconds)
        try together { (number, scratch) throws(ModelFileError) in
            try reader.readOnly(reads[(first + number) % reads.count], scratch)
            return Moment.now < end
        }
        let duration = start.duration(to: .now).seconds
        let read = file.reads.tally - before
        position = (first + read.readCount) % reads.count
        return Double(read.byteCount) / duration
    }

    /// Whether reads go past the system's cache of files, as far as is known.
    var isDirect: Bool { reader.isDirect }

    /// The next run to read, of a unit at hand or of a new one; nil where there is none now.
    private func nextRun(_ progress: inout Progress) -> (job: Job, run: Int)? {
        if !progress.isStarted || progress.fault != nil { return nil }
        for index in progress.jobs.indices {
            let job = progress.jobs[index]
            guard job.nextRun < cycles[job.phase][job.unit].runs.count else { continue }
            progress.jobs[index].nextRun += 1
            progress.jobs[index].runsInFlight += 1
            return (job, job.nextRun)
        }
        guard progress.jobs.count < Self.mostJobs, var job = nextJob(&progress) else { return nil }
        job.nextRun = 1
        job.runsInFlight = 1
        progress.jobs.append(job)
        return (job, 0)
    }

    /// Goes on to the next unit that is not in memory, and gives it a place; nil where everything up to a
    /// round ahead is there, or its place is still in use.
    private func nextJob(_ progress: inout Progress) -> Job? {
        if skipLoaded(&progress) { return nil }
        let phase = progress.phase
        let index = progress.next % cycles[phase].count
        let unit = cycles[phase][index]
        let offset: Int
        if let home = unit.home {
            offset = home
        } else {
            let end = progress.ringEnds[phase]
            let isInside = end + unit.part.byteCount <= rings[phase].upperBound
            offset = isInside ? end : rings[phase].lowerBound
        }
        let bytes = offset..<offset + unit.part.byteCount
        guard isFree(bytes, progress) else { return nil }
        evict(bytes, &progress)
        if unit.home == nil { progress.ringEnds[phase] = bytes.upperBound }
        progress.next += 1
        return Job(phase: phase, unit: index, bytes: bytes, attempt: progress.attempt)
    }

    /// Passes over units that are there or on their way; returns whether a whole round is.
    private func skipLoaded(_ progress: inout Progress) -> Bool {
        let (phase, count) = (progress.phase, cycles[progress.phase].count)
        progress.next = max(progress.next, progress.position)
        while progress.next < progress.position + count {
            let unit = progress.next % count
            let isComing = progress.jobs.contains {
                $0.phase == phase && $0.unit == unit && $0.nextRun != .max
            }
            guard isComing || progress.offsets[phase][unit] >= 0 else { return false }
            progress.next += 1
        }
        return true
    }

    /// Whether nothing that is in use, was read ahead, or is being read lies in `bytes`.
    private func isFree(_ bytes: Range<Int>, _ progress: Progress) -> Bool {
        if progress.jobs.contains(where: { $0.bytes.overlaps(bytes) }) { return false }
        let cycle = cycles[progress.phase]
        for sequence in progress.position..<max(progress.position, progress.next) {
            let unit = sequence % cycle.count
            let offset = progress.offsets[progress.phase][unit]
            if offset >= 0, bytes.overlaps(offset..<offset + cycle[unit].part.byteCount) { return false }
        }
        return true
    }

    /// Forgets the units that lie in `bytes`.
    private func evict(_ bytes: Range<Int>, _ progress: inout Progress) {
        for phase in cycles.indices {
            for unit in cycles[phase].indices {
                let offset = progress.offsets[phase][unit]
                guard offset >= 0 else { continue }
                if bytes.overlaps(offset..<offset + cycles[phase][unit].part.byteCount) {
                    progress.offsets[phase][unit] = -1
                }
            }
        }
    }

    private func finish(_ job: Job, _ fault: ModelFileError?, _ progress: inout Progress) {
        guard
            let index = progress.jobs.firstIndex(where: { $0.phase == job.phase && $0.bytes == job.bytes })
        else { preconditionFailure("a job ends with its last run") }
        progress.jobs[index].runsInFlight -= 1
        if let fault {
            if job.attempt == progress.attempt {
                progress.fault = progress.fault ?? fault
            } else {
                progress.next = progress.position
            }
            // The rest of it is not read.
            progress.jobs[index].nextRun = .max
        }
        let ended = progress.jobs[index]
        guard ended.runsInFlight == 0, ended.nextRun >= cycles[job.phase][job.unit].runs.count else { return }
        progress.jobs.remove(at: index)
        if ended.nextRun != .max { progress.offsets[job.phase][job.unit] = job.bytes.lowerBound }
    }
}

/// A thread's scratch, which it takes along.
///
/// Unchecked: made by one thread, used by another one only.
final class RunScratch: @unchecked Sendable {
    fileprivate let scratch: RunReader.Scratch
    init(for file: String) throws(ModelFileError) { scratch = try RunReader.Scratch(for: file) }
}
