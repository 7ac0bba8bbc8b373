//! The NEON variants on an x86-64 machine: cross-compiled, and run in an emulator of several processors.

#if os(Linux) && arch(x86_64)
    import Foundation
    import TestSupport
    import Testing

    /// What a program has printed, both streams together, and how it ended.
    private struct Outcome {
        let output: String
        let status: Int32
    }

    /// A program at work.
    private struct Running {
        private let process = Process()
        private let pipe = Pipe()

        /// Looks `program` up in PATH unless it is a path. Throws where there is none.
        init(_ program: String, _ arguments: [String]) throws {
            process.executableURL = URL(filePath: try programPath(program))
            process.arguments = arguments
            process.standardOutput = pipe
            process.standardError = pipe
            try process.run()
        }

        func wait() throws -> Outcome {
            let output = try pipe.fileHandleForReading.readToEnd() ?? Data()
            process.waitUntilExit()
            return Outcome(
                output: String(decoding: output, as: UTF8.self), status: process.terminationStatus)
        }
    }

    private struct MissingProgram: Error, CustomStringConvertible {
        let name: String
        var description: String { "\(name) is not installed: `make test-deps` installs what the tests need" }
    }

    private func programPath(_ name: String) throws -> String {
        if name.contains("/") { return name }
        let folders = (ProcessInfo.processInfo.environment["PATH"] ?? "").split(separator: ":")
        let paths = folders.map { "\($0)/\(name)" }
        guard let path = paths.first(where: FileManager.default.isExecutableFile) else {
            throw MissingProgram(name: name)
        }
        return path
    }

    /// The compiler that came with the Swift in PATH, or else the one in PATH.
    private func compiler() throws -> String {
        if let swift = try? programPath("swift") {
            let folder = URL(filePath: swift).resolvingSymlinksInPath().deletingLastPathComponent()
            let beside = folder.appending(path: "clang").path
            if FileManager.default.isExecutableFile(atPath: beside) { return beside }
        }
        return try programPath("clang")
    }

    /// C files of a folder of the package.
    private func sources(_ folder: String) throws -> [String] {
        let root = URL(filePath: #filePath)
            .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
        let names = try FileManager.default.contentsOfDirectory(atPath: root.appending(path: folder).path)
        return names.filter { $0.hasSuffix(".c") }.map { root.appending(path: "\(folder)/\($0)").path }
    }

    /// Compiles the kernels with their conformance checks for 64-bit ARM. On such a machine the package's own
    /// build does, and `KernelsVariantTests` runs the variants.
    private func buildChecks(in folder: TemporaryDirectory) throws -> String {
        let program = folder.path("conformance")
        let files = try sources("Sources/CKernels") + sources("Tests/KernelConformance")
        let includes = Set(files.map { URL(filePath: $0).deletingLastPathComponent().path })
        let build = try Running(
            try compiler(),
            ["--target=aarch64-linux-gnu", "-fuse-ld=lld", "-O2", "-Wall", "-Wextra", "-Werror"]
                + includes.sorted().map { "-I\($0)/include" } + files + ["-lm", "-o", program]
        ).wait()
        try #require(build.status == 0, "\(build.output)")
        return program
    }

    /// Processors by their names in qemu, and the NEON variants that they can run. The first has all
    /// extensions, the second lacks the 8-bit matrix instructions, the third the dot product as well.
    private let processors: [(name: String, variants: [String])] = [
        ("max", ["neon", "neon_i8mm"]),
        ("cortex-a76", ["neon"]),
        ("cortex-a72", []),
    ]

    @Test(.enabled(if: !isSanitized, "what is cross-compiled is built without one"))
    func everyNEONVariantConformsOnTheProcessorsThatHaveIt() throws {
        let folder = try TemporaryDirectory()
        let program = try buildChecks(in: folder)
        let runs = try processors.map {
            try Running(
                "qemu-aarch64",
                ["-cpu", $0.name, "-L", "/usr/aarch64-linux-gnu", program, "neon", "neon_i8mm"])
        }
        for (processor, run) in zip(processors, runs) {
            let outcome = try run.wait()
            #expect(outcome.status == 0, "\(processor.name): \(outcome.output)")
            let conforming = outcome.output.split(separator: "\n").compactMap { line -> String? in
                let words = line.split(separator: " ")
                return words.count == 2 && words[1] == "conforms" ? String(words[0]) : nil
            }
            #expect(conforming == processor.variants, "\(processor.name): \(outcome.output)")
        }
    }
#endif
