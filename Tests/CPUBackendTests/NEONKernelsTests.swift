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

    /// Processors by their names in qemu, the variants that they can run, and the one that is tried there.
    /// The first has all extensions, the second lacks the 8-bit matrix instructions, the third the dot
    /// product as well: a variant is tried where nothing is that it could do without.
    private let processors: [(name: String, variants: [String], tried: String?)] = [
        ("max", ["scalar", "neon", "neon_i8mm"], "neon_i8mm"),
        ("cortex-a76", ["scalar", "neon"], "neon"),
        ("cortex-a72", ["scalar"], nil),
    ]

    @Test(.enabled(if: !isSanitized, "what is cross-compiled is built without one"))
    func everyNEONVariantConformsOnTheProcessorsThatHaveIt() throws {
        let folder = try TemporaryDirectory()
        let program = try buildChecks(in: folder)
        func start(_ processor: String, _ argument: String) throws -> Running {
            try Running(
                "qemu-aarch64", ["-cpu", processor, "-L", "/usr/aarch64-linux-gnu", program, argument])
        }
        let runs = try processors.map { processor in
            try (
                list: start(processor.name, "list"),
                trial: processor.tried.map { try start(processor.name, $0) }
            )
        }
        for (processor, run) in zip(processors, runs) {
            let list = try run.list.wait()
            #expect(list.status == 0, "\(processor.name): \(list.output)")
            #expect(list.output.split(separator: "\n").map(String.init) == processor.variants)
            guard let tried = processor.tried, let trial = try run.trial?.wait() else { continue }
            #expect(trial.status == 0, "\(processor.name): \(trial.output)")
            #expect(trial.output.split(separator: " ") == [tried[...], "conforms\n"], "\(processor.name)")
        }
    }
#endif
