//! The fuzzer's program: one parser a run, chosen by --target.

import CLibFuzzer
import FoundationEssentials
import Glibc

/// Every target, by the name that `--target` and the folders of seeds use.
private let targets: [String: @Sendable () throws -> any FuzzTarget] = [
    "budget": { BudgetTarget() },
    "chat": { try ChatTarget() },
    "configuration": { ConfigurationTarget() },
    "docx": { DOCXTarget() },
    "features": { try FeaturesTarget() },
    "interface": { try InterfaceTarget() },
    "jpeg": { ImageTarget() },
    "manifest": { ManifestTarget() },
    "markdown": { MarkdownTarget() },
    "model-file": { try ModelFileTarget() },
    "page-settings": { PageSettingsTarget() },
    "pdf-list": { PDFListTarget() },
    "png": { ImageTarget(preparing: PNGSeal.sealed) },
    "safetensors": { try SafetensorsTarget() },
    "session": { try SessionTarget() },
    "text-document": { try TextDocumentTarget() },
    "tokenizer-binary": { TokenizerBinaryTarget() },
    "tokenizer-json": { TokenizerJSONTarget() },
    "webp": { ImageTarget() },
]

/// libFuzzer's callback is a C function without a context, so the target of the run stands here. The fuzzer
/// calls it from one thread.
nonisolated(unsafe) private var target: any FuzzTarget = NoTarget()

private struct NoTarget: FuzzTarget {
    func run(_ input: [UInt8]) -> Bool { fatalError("no target was chosen") }
}

@main
private enum Fuzz {
    static func main() throws {
        let arguments = CommandLine.arguments
        if arguments.contains("--list") {
            print(targets.keys.sorted().joined(separator: "\n"))
            return
        }
        if let folder = value(of: "--write-seeds", arguments) {
            try SeedWriter(repository: FileManager.default.currentDirectoryPath, folder: folder).write()
            return
        }
        guard let name = value(of: "--target", arguments), let make = targets[name] else {
            print(
                """
                usage: \(arguments[0]) --target=NAME [libFuzzer's options and folders]
                       \(arguments[0]) --target=NAME --accepts=FOLDER
                       \(arguments[0]) --list | --write-seeds=FOLDER
                """)
            exit(64)
        }
        unsafe target = try make()
        if let folder = value(of: "--accepts", arguments) {
            try requireAcceptance(folder)
            return
        }
        var count = CommandLine.argc
        // libFuzzer passes over options that begin with two dashes, also in the processes that it starts.
        var values: UnsafeMutablePointer<UnsafeMutablePointer<CChar>?>? = unsafe CommandLine.unsafeArgv
        exit(
            unsafe LLVMFuzzerRunDriver(&count, &values) { bytes, count in
                _ = unsafe target.run(Array(UnsafeBufferPointer(start: bytes, count: count)))
                return 0
            })
    }

    /// Fails unless most files of `folder` are accepted: seeds that fail at the first byte lead nowhere.
    private static func requireAcceptance(_ folder: String) throws {
        var refused: [String] = []
        let names = try FileManager.default.contentsOfDirectory(atPath: folder)
        for name in names.sorted() {
            let input = Array(try Data(contentsOf: URL(filePath: folder).appending(path: name)))
            if unsafe !target.run(input) { refused.append(name) }
        }
        print(
            "\(folder): \(names.count - refused.count) of \(names.count) accepted",
            refused.isEmpty ? "" : "\(refused)")
        if 2 * refused.count >= names.count { exit(1) }
    }

    private static func value(of option: String, _ arguments: [String]) -> String? {
        arguments.first { $0.hasPrefix(option + "=") }.map { String($0.dropFirst(option.count + 1)) }
    }
}
