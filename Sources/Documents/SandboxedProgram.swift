//! A program that is run on a document: what it may use, what it wrote, and how it ended.

import CSandbox
import Glibc
import HostSystem
import TextSearch

/// A program of others, which reads what nobody vouches for. It is given its input as an open descriptor; it
/// sees its libraries and the fonts and no other file, makes no connection and no process, and is ended where
/// it takes more than it may.
struct SandboxedProgram {
    /// An absolute path: no search path decides which program runs.
    let path: String
    /// Seconds of the clock that a run may last.
    let seconds: Int

    /// What is on standard output, and how the program ended.
    struct Outcome {
        let output: [UInt8]
        /// The first 4 KiB of standard error.
        let complaints: String
        let status: Int32
    }

    enum Fault: Error {
        /// There is no such program.
        case missing
        /// The system could not start it, or not as confined as it should be.
        case cannotStart(Int32)
        /// It took too long, by the clock or of the processor.
        case tooSlow
        /// It took more memory than it may, and said so or died of it.
        case tooMuchMemory
        /// It wrote more than was asked for.
        case tooMuchOutput
        /// A signal ended it.
        case ended(Int32)
    }

    /// What it may read: libraries, fonts, and poppler's tables of characters.
    private static let readable = [
        "/lib", "/lib32", "/lib64", "/usr/lib", "/usr/lib64", "/etc/ld.so.cache", "/etc/fonts",
        "/usr/share/fonts", "/usr/local/share/fonts", "/usr/share/fontconfig", "/var/cache/fontconfig",
        "/usr/share/poppler",
    ]
    /// Nothing of this process's own environment: not its home, its paths or its settings.
    private static let environment = ["LC_ALL=C.UTF-8"]

    /// What keeps programs from other files and calls on this machine; a sentence for each that is missing.
    static var missingConfinement: [String] {
        let found = csandbox_confinement()
        var missing: [String] = []
        if found & Int32(CSANDBOX_FILES) == 0 { missing.append("Landlock") }
        if found & Int32(CSANDBOX_CALLS) == 0 { missing.append("seccomp") }
        return missing
    }

    /// Runs the program to its end with `input` on standard input. It is waited for in every case.
    /// - Parameter outputLimit: bytes of output with which it is ended.
    func run(
        _ arguments: [String], input: borrowing SealedFile, outputLimit: Int
    ) throws(Fault) -> Outcome {
        guard unsafe access(path, X_OK) == 0 else { throw .missing }
        input.rewind()
        guard var output = Pipe(), var errors = Pipe() else { throw .cannotStart(errno) }
        let limits = csandbox_limits(
            address_bytes: UInt64(DocumentLimits.maxProgramBytes),
            cpu_seconds: UInt64(max(1, min(seconds, DocumentLimits.maxProgramCPUSeconds))),
            descriptors: UInt64(DocumentLimits.maxProgramDescriptors))
        let (reader, outputEnd, errorEnd) = (input.descriptor, output.writing, errors.writing)
        let child = unsafe withCStrings([path] + arguments) { arguments in
            unsafe withCStrings(Self.environment) { environment in
                unsafe withCStrings(Self.readable) { readable in
                    unsafe readable.withMemoryRebound(to: UnsafePointer<CChar>?.self) { readable in
                        unsafe csandbox_spawn(
                            arguments.baseAddress, environment.baseAddress, readable.baseAddress, limits,
                            reader, outputEnd, errorEnd)
                    }
                }
            }
        }
        guard child > 0 else { throw .cannotStart(-child) }
        output.closeWriting()
        errors.closeWriting()
        let deadline = Moment.now + .seconds(seconds)
        var written: [UInt8] = []
        var complaints: [UInt8] = []
        let end = Self.drain(output, errors, into: &written, &complaints, outputLimit, deadline)
        if end != .complete { kill(child, SIGKILL) }
        let status = Self.wait(for: child, until: deadline)
        switch end {
        case .overflow: throw .tooMuchOutput
        case .late: throw .tooSlow
        case .complete: break
        }
        let text = String(decoding: complaints, as: UTF8.self)
        guard let status else { throw .tooSlow }
        return try Self.outcome(status, written, text)
    }

    private static func outcome(
        _ status: Int32, _ written: [UInt8], _ complaints: String
    ) throws(Fault) -> Outcome {
        let signal = status & 0x7F
        let saysMemory = ["Out of memory", "bad_alloc", "cannot allocate"].contains {
            complaints.holds($0)
        }
        if signal == SIGXCPU { throw .tooSlow }
        if signal != 0 { throw saysMemory ? .tooMuchMemory : .ended(signal) }
        let code = status >> 8 & 0xFF
        if (Int32(CSANDBOX_EXIT_LIMITS)...Int32(CSANDBOX_EXIT_STREAMS)).contains(code) {
            throw .cannotStart(code)
        }
        if code != 0 && saysMemory { throw .tooMuchMemory }
        return Outcome(output: written, complaints: complaints, status: code)
    }

    private enum DrainEnd { case complete, overflow, late }

    /// Reads both pipes until the child has closed them.
    private static func drain(
        _ output: borrowing Pipe, _ errors: borrowing Pipe, into written: inout [UInt8],
        _ complaints: inout [UInt8], _ limit: Int, _ deadline: Moment
    ) -> DrainEnd {
        var chunk = [UInt8](repeating: 0, count: 1 << 16)
        var waited = [
            pollfd(fd: output.reading, events: Int16(POLLIN), revents: 0),
            pollfd(fd: errors.reading, events: Int16(POLLIN), revents: 0),
        ]
        while waited.contains(where: { $0.fd >= 0 }) {
            let left = deadline - .now
            guard left > .zero else { return .late }
            let milliseconds = Int32(clamping: left.components.seconds * 1000 + 1000)
            let ready = unsafe poll(&waited, nfds_t(waited.count), min(milliseconds, 1000))
            if ready <= 0 { continue }
            for index in waited.indices where waited[index].fd >= 0 && waited[index].revents != 0 {
                let count = unsafe read(waited[index].fd, &chunk, chunk.count)
                if count < 0 && errno == EINTR { continue }
                guard count > 0 else {
                    // A negative descriptor is one that `poll` passes over.
                    waited[index].fd = -1
                    continue
                }
                if index == 0 {
                    guard written.count + count <= limit else { return .overflow }
                    written += chunk[..<count]
                } else if complaints.count < 4096 {
                    complaints += chunk[..<min(count, 4096 - complaints.count)]
                }
            }
        }
        return .complete
    }

    /// The child's status; nil where it had to be ended after the deadline. A child that has closed its
    /// outputs may still run. Where somebody else has taken the status, or signals of children are ignored,
    /// it counts as 0: what it wrote is checked anyway.
    private static func wait(for child: pid_t, until deadline: Moment) -> Int32? {
        var wasEnded = false
        var status: Int32 = 0
        while true {
            let result = unsafe waitpid(child, &status, wasEnded ? 0 : WNOHANG)
            if result == child { return wasEnded ? nil : status }
            if result < 0 && errno != EINTR { return 0 }
            if !wasEnded && Moment.now >= deadline {
                kill(child, SIGKILL)
                wasEnded = true
            }
            if result == 0 { usleep(500) }
        }
    }
}

/// Two ends, closed with their owner.
@safe private struct Pipe: ~Copyable {
    let reading: Int32
    private(set) var writing: Int32

    /// Nil where the system has no descriptor left; `errno` says so.
    init?() {
        var ends: [Int32] = [-1, -1]
        guard unsafe csandbox_pipe(&ends) == 0 else { return nil }
        (reading, writing) = (ends[0], ends[1])
    }

    mutating func closeWriting() {
        close(writing)
        writing = -1
    }

    deinit {
        close(reading)
        if writing >= 0 { close(writing) }
    }
}

/// Calls `body` with the texts as C has them, and nil at the end.
private func withCStrings<Result>(
    _ texts: [String], _ body: (UnsafeMutableBufferPointer<UnsafeMutablePointer<CChar>?>) -> Result
) -> Result {
    var pointers = unsafe texts.map { unsafe strdup($0) } + [nil]
    defer { unsafe pointers.forEach { unsafe free($0) } }
    return unsafe pointers.withUnsafeMutableBufferPointer { unsafe body($0) }
}
