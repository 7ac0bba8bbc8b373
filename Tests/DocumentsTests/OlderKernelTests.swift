//! What holds a program back where the kernel has no Landlock, no seccomp or neither.
//! Each is tried in a process of its own, for no process gets back what was taken from it.

import COlderKernel
import Foundation
import Glibc
import TestSupport
import Testing

@testable import Documents

/// What a script writes, without what it complains of.
private func text(_ script: String, input: String = "") throws -> String {
    String(decoding: try bash(script, input: input).output, as: UTF8.self)
}

/// Lets the kernel of this process be an older one.
private func enterOlderKernel(without lacks: Int...) throws {
    try #require(older_kernel_enter(Int32(lacks.reduce(0, |))) == 0)
}

/// What this kernel can itself.
private let hasAll = SandboxedProgram.missingConfinement.isEmpty

@Suite(.enabled(if: hasAll, "takes away what must be there")) struct OlderKernelTests {
    @Test func whatIsMissingIsSaid() async {
        await #expect(processExitsWith: .success) {
            try enterOlderKernel(without: OLDER_KERNEL_WITHOUT_LANDLOCK)
            #expect(SandboxedProgram.missingConfinement == ["Landlock"])
        }
        await #expect(processExitsWith: .success) {
            try enterOlderKernel(without: OLDER_KERNEL_WITHOUT_LANDLOCK, OLDER_KERNEL_WITHOUT_SECCOMP)
            #expect(SandboxedProgram.missingConfinement == ["Landlock", "seccomp"])
        }
    }

    @Test func limitsAloneHold() async {
        await #expect(processExitsWith: .success) {
            try enterOlderKernel(without: OLDER_KERNEL_WITHOUT_LANDLOCK, OLDER_KERNEL_WITHOUT_SECCOMP)
            // The limits are what is left: a file that others have is read.
            #expect(try text("read -n 4 line </etc/passwd; echo $line") == "root\n")
            expectLimits()
            // A file may be made, and nothing gets into it.
            let folder = try TemporaryDirectory()
            _ = try? bash("while :; do echo x; done > '\(folder.path("new"))'")
            #expect(try Data(contentsOf: URL(filePath: folder.path("new"))).isEmpty)
            // Who is root makes processes whatever the limit says.
            if getuid() != 0 { #expect(try text("(echo child)") == "") }
        }
    }

    /// The calls are those of reading; which files are read nothing says.
    @Test func withoutLandlockNothingIsWrittenNorStarted() async {
        await #expect(processExitsWith: .success) {
            try enterOlderKernel(without: OLDER_KERNEL_WITHOUT_LANDLOCK)
            expectLimits()
            let folder = try TemporaryDirectory()
            let old = try folder.write("old".utf8, to: "old")
            _ = try bash("echo x > '\(folder.path("new"))'; echo x >> '\(old)'")
            #expect(folder.contents == ["old"])
            #expect(try String(contentsOf: URL(filePath: old), encoding: .utf8) == "old")
            #expect(try text("(echo child); echo child | read x; exec /bin/echo other") == "")
        }
    }

    /// It may ask for what it likes; files of others and programs it does not get.
    @Test func withoutSeccompNoOtherFileIsRead() async {
        await #expect(processExitsWith: .success) {
            try enterOlderKernel(without: OLDER_KERNEL_WITHOUT_SECCOMP)
            #expect(SandboxedProgram.missingConfinement == ["seccomp"])
            expectLimits()
            let folder = try TemporaryDirectory()
            let secret = try folder.write("secret\n".utf8, to: "a")
            for path in [secret, "/etc/passwd", "/proc/self/environ"] {
                #expect(try text("read -n 9 line < '\(path)' && echo got") == "", "\(path)")
            }
            _ = try bash("echo x > '\(folder.path("new"))'; echo x >> '\(secret)'")
            #expect(folder.contents == ["a"])
            #expect(try text("exec /bin/echo other") == "")
        }
    }

    @Test func descriptorsAreClosedOneByOne() async {
        await #expect(processExitsWith: .success) {
            try enterOlderKernel(without: OLDER_KERNEL_WITHOUT_CLOSE_RANGE)
            let folder = try TemporaryDirectory()
            let opened = unsafe open(try folder.write("secret\n".utf8, to: "a"), O_RDONLY)
            let numbers = [3, 4, 20, 900].map { fcntl(opened, F_DUPFD, Int32($0)) } + [opened]
            #expect(numbers.allSatisfy { $0 >= 3 })
            for number in numbers {
                #expect(try text("read line <&\(number) && echo \"got $line\"") == "", "\(number)")
            }
        }
    }

    /// A PDF is read as ever, with limits alone: its text, and a page as it is drawn.
    @Test func aPDFIsReadWithLimitsAlone() async throws {
        let document = try #require(ProducedDocument.all(".pdf").first)
        await #expect(processExitsWith: .success) {
            [path = document.path as String, text = document.text as String] in
            try enterOlderKernel(
                without: OLDER_KERNEL_WITHOUT_LANDLOCK, OLDER_KERNEL_WITHOUT_SECCOMP,
                OLDER_KERNEL_WITHOUT_CLOSE_RANGE)
            let pdf = try PDFDocument(bytes: Array(Data(contentsOf: URL(filePath: path))))
            #expect(squeezed(try pdf.text(ofPages: Array(0..<pdf.pageCount)).text) == squeezed(text))
            #expect(try pdf.page(0, dpi: 36).pixels.contains { $0 < 128 })
        }
    }
}

/// Memory, time and output are what they may be.
private func expectLimits(_ location: SourceLocation = #_sourceLocation) {
    func end(_ script: String, seconds: Int = 20) -> String {
        do {
            _ = try bash(script, seconds: seconds, outputLimit: 1000)
            return "it ended by itself"
        } catch { return "\(error)" }
    }
    let endings = [
        end("x=0123456789abcdef; while :; do x=$x$x; done"), end("while :; do :; done", seconds: 1),
        end("while :; do echo 0123456789; done"),
    ]
    #expect(endings == ["tooMuchMemory", "tooSlow", "tooMuchOutput"], sourceLocation: location)
    #expect(
        (try? text("for n in {3..200}; do eval \"exec $n<&0\" || break; done 2>&-; echo $n")).flatMap {
            Int($0.dropLast())
        } ?? 200 < 200, sourceLocation: location)
}
