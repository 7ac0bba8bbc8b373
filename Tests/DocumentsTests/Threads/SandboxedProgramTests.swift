//! What a program in the sandbox can do, as tried by a shell that means harm.

import Foundation
import Glibc
import TestSupport
import Testing

@testable import Documents

/// Runs bash, which does much by itself: opens files, connects, computes.
func bash(
    _ script: String, input: String = "", seconds: Int = 20, outputLimit: Int = 1 << 16
) throws -> SandboxedProgram.Outcome {
    try SandboxedProgram(path: "/bin/bash", seconds: seconds).run(
        ["--norc", "-c", script], input: SealedFile(Array(input.utf8)), outputLimit: outputLimit)
}

private func text(_ outcome: SandboxedProgram.Outcome) -> String {
    String(decoding: outcome.output, as: UTF8.self)
}

/// What the limits alone do not forbid needs a kernel that does.
private let isConfined = SandboxedProgram.missingConfinement.isEmpty

@Suite struct SandboxedProgramTests {
    @Test func itReadsItsInputAndWritesItsOutput() throws {
        let outcome = try bash(
            "while read line; do echo \"<$line>\"; done; echo lost >&2; exit 3", input: "a\nb\n")
        #expect(text(outcome) == "<a>\n<b>\n")
        #expect(outcome.complaints.contains("lost"))
        #expect(outcome.status == 3)
    }

    @Test func outputLargerThanAPipeComesWhole() throws {
        let outcome = try bash("for i in {1..40000}; do echo 0123456789; done", outputLimit: 1 << 20)
        #expect(outcome.output.count == 440_000)
    }

    @Test(.enabled(if: isConfined)) func itReadsNoOtherFile() throws {
        let folder = try TemporaryDirectory()
        let secret = try folder.write("secret\n".utf8, to: "a")
        for path in [secret, "/etc/passwd", "/proc/self/environ", "/proc/self/fd/0", "/dev/urandom"] {
            #expect(try text(bash("read -n 9 line < '\(path)' && echo \"got $line\"")) == "", "\(path)")
        }
        #expect(try text(bash("shopt -s nullglob; echo /etc/pass* '\(folder.url.path)'/*").filtered) == "")
    }

    @Test(.enabled(if: isConfined)) func itWritesNoFile() throws {
        let folder = try TemporaryDirectory()
        let old = try folder.write("old".utf8, to: "old")
        _ = try bash("echo x > '\(folder.path("new"))'; echo x >> '\(old)'; echo x > /dev/shm/thimble-x")
        #expect(folder.contents == ["old"])
        #expect(try String(contentsOf: URL(filePath: old), encoding: .utf8) == "old")
        #expect(!FileManager.default.fileExists(atPath: "/dev/shm/thimble-x"))
    }

    @Test(.enabled(if: isConfined)) func itMakesNoConnection() throws {
        let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
        try #require(listener >= 0)
        defer { close(listener) }
        var address = sockaddr_in()
        address.sin_family = sa_family_t(AF_INET)
        address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
        var length = socklen_t(MemoryLayout<sockaddr_in>.size)
        let isBound = unsafe withUnsafeMutablePointer(to: &address) { pointer in
            unsafe pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { pointer in
                unsafe bind(listener, pointer, length) == 0 && listen(listener, 1) == 0
                    && getsockname(listener, pointer, &length) == 0
            }
        }
        try #require(isBound)
        let port = UInt16(bigEndian: address.sin_port)
        #expect(try text(bash("exec 3<>/dev/tcp/127.0.0.1/\(port) && echo connected")) == "")
    }

    @Test(.enabled(if: isConfined)) func itMakesNoProcessAndBecomesNoOtherProgram() throws {
        #expect(
            try text(bash("(echo child); echo child | read x; echo $(echo child)")).contains("child") == false
        )
        #expect(try text(bash("exec /bin/cat /etc/passwd; exec /bin/echo other")) == "")
    }

    @Test func itInheritsNoDescriptorAndNoEnvironment() throws {
        let folder = try TemporaryDirectory()
        let path = try folder.write("secret\n".utf8, to: "a")
        let opened = unsafe open(path, O_RDONLY)
        let number = fcntl(opened, F_DUPFD, 20)
        defer { [opened, number].forEach { close($0) } }
        #expect(
            try text(
                bash(
                    "read line <&\(number) && echo \"got $line\"; read line <&\(opened) && echo \"got $line\""
                )) == "")
        #expect(try text(bash("echo ${USER:-none} ${THIMBLE_MODEL:-none} $LC_ALL")) == "none none C.UTF-8\n")
    }

    @Test func itTakesNoMoreMemoryThanItMay() {
        let fault = #expect(throws: SandboxedProgram.Fault.self) {
            try bash("x=0123456789abcdef; while :; do x=$x$x; done")
        }
        guard case .tooMuchMemory? = fault else {
            Issue.record("\(String(describing: fault))")
            return
        }
    }

    @Test(arguments: ["while :; do :; done", "exec 1>&- 2>&-; while :; do :; done"])
    func itIsEndedWhenItsTimeIsUp(_ script: String) {
        let fault = #expect(throws: SandboxedProgram.Fault.self) { try bash(script, seconds: 1) }
        guard case .tooSlow? = fault else {
            Issue.record("\(String(describing: fault))")
            return
        }
    }

    @Test func itIsEndedWhenItWritesTooMuch() {
        let fault = #expect(throws: SandboxedProgram.Fault.self) {
            try bash("while :; do echo 0123456789; done", outputLimit: 1000)
        }
        guard case .tooMuchOutput? = fault else {
            Issue.record("\(String(describing: fault))")
            return
        }
    }

    @Test func whatItSaysOfItselfIsKeptShort() throws {
        let outcome = try bash("for i in {1..40000}; do echo 0123456789 >&2; done; echo end")
        #expect(text(outcome) == "end\n" && outcome.complaints.utf8.count == 4096)
    }

    @Test func aProgramThatIsNotThereIsMissing() {
        let fault = #expect(throws: SandboxedProgram.Fault.self) {
            try SandboxedProgram(path: "/usr/bin/no-such-program", seconds: 1).run(
                [], input: SealedFile([1]), outputLimit: 1)
        }
        guard case .missing? = fault else {
            Issue.record("\(String(describing: fault))")
            return
        }
    }

    /// However a run ends, its child is waited for, and its pipes are closed.
    @Test func noChildAndNoDescriptorIsLeft() async throws {
        await #expect(processExitsWith: .success) {
            func descriptors() -> Int {
                (try? FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd").count) ?? 0
            }
            _ = try? bash("exit 0")
            let before = descriptors()
            for script in ["exit 0", "exit 7", "while :; do echo x; done", "x=x; while :; do x=$x$x; done"] {
                _ = try? bash(script, outputLimit: 100)
            }
            _ = try? bash("while :; do :; done", seconds: 1)
            guard waitpid(-1, nil, WNOHANG) == -1, errno == ECHILD, descriptors() == before else { exit(1) }
        }
    }

    @Test func runsOfManyThreadsDoNotDisturbEachOther() async throws {
        try await withThrowingTaskGroup(of: Bool.self) { group in
            for number in 0..<8 {
                group.addTask {
                    try text(bash("read line; echo $line", input: "\(number)\n")) == "\(number)\n"
                }
            }
            for try await isRight in group { #expect(isRight) }
        }
    }
}

extension SandboxedProgram.Outcome {
    /// Without the names that were asked for by a pattern and not found.
    fileprivate var filtered: SandboxedProgram.Outcome {
        let left = text(self).split(whereSeparator: \.isWhitespace).joined(separator: " ")
        return SandboxedProgram.Outcome(output: Array(left.utf8), complaints: complaints, status: status)
    }
}
