//! Checks that the source tree keeps the shape that its architecture promises.

import Foundation
import Testing

/// Who may import whom, C modules included. A target that is not listed here must not exist.
private let arrows: [String: Set<String>] = [
    "HostSystem": [],
    "JSON": [],
    "Tensors": [],
    "TextSearch": [],
    "Threads": [],
    "Tokenizers": ["JSON", "TextSearch"],
    "Documents": [
        "CFreeType", "CImages", "CSandbox", "CZip", "CXML", "CMarkdown", "HostSystem", "JSON",
        "TextSearch",
    ],
    "FeatureFiles": ["ModelFile", "CXXHash"],
    "ModelFile": ["HostSystem", "JSON", "Tensors", "Threads", "CZstd", "CXXHash"],
    "Checkpoints": ["JSON", "Tensors", "TextSearch", "Threads", "ModelFile"],
    "CPUBackend": ["HostSystem", "Tensors", "Threads", "CKernels"],
    "VulkanCompute": ["CVulkan", "Threads"],
    "VulkanBackend": ["HostSystem", "Tensors", "VulkanCompute", "CShaders"],
    "Memory": ["HostSystem", "JSON", "Tensors", "Threads", "ModelFile"],
    "SessionFiles": ["ModelFile", "CXXHash"],
    "Models": ["HostSystem", "Tensors", "Threads", "ModelFile", "Memory", "SessionFiles"],
    "Thimble": [
        "Models", "Documents", "Tokenizers", "ModelFile", "Checkpoints", "CPUBackend", "VulkanBackend",
        "VulkanCompute", "Memory", "Tensors", "SessionFiles", "FeatureFiles",
        "HostSystem", "JSON",
    ],
    "ThimbleCAPI": ["CThimble", "Thimble", "Threads"],
    "ThimbleCLI": ["Thimble", "HostSystem", "JSON", "TextSearch", "ArgumentParser"],
]

/// Targets without Swift code.
private let cTargets: Set<String> = [
    "CZstd", "CXXHash", "CFreeType", "CImages", "CKernels", "CShaders", "CVulkan", "CThimble", "CSandbox",
    "CZip",
    "CXML", "CMarkdown",
    "CKernelConformance",
    "CEmbeddingProgram", "CFaultInjection", "CVulkanFaults", "CLibFuzzer", "CAllocationCounter",
    "COlderKernel",
]

/// What the platform brings, which every target may import. Foundation is larger than all of the product, and
/// only tests may use it.
private let platform: Set<String> = ["Glibc", "Musl", "Darwin", "Synchronization"]

/// Names that say nothing about what is behind them.
private let emptyNames: Set<String> = [
    "Common", "Core", "Utils", "Utilities", "Helpers", "Misc", "Shared", "Base",
]

private struct SourceFile: CustomStringConvertible {
    /// Relative to the package's root.
    var path: String
    var lines: [Substring]

    var description: String { path }
    /// The folder under Sources or Tests that the file lies in.
    var target: String { String(path.split(separator: "/")[1]) }
    var isTest: Bool { path.hasPrefix("Tests/") }
    var isProduct: Bool { path.hasPrefix("Sources/") }
    var isSwift: Bool { path.hasSuffix(".swift") }
    var isShader: Bool { path.hasPrefix("shaders/") }

    /// Line numbers, from 1, and lines that satisfy the condition.
    func lines(where condition: (Substring) -> Bool) -> [String] {
        zip(1..., lines).filter { condition($1) }.map { "\(path):\($0): \($1)" }
    }
}

private let root = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

/// Swift, C and GLSL files under Sources, Tests, Fuzz and shaders; fixtures are no code.
private let sourceFiles: [SourceFile] = {
    var files: [SourceFile] = []
    for top in ["Sources", "Tests", "Fuzz", "shaders"] {
        let enumerator = FileManager.default.enumerator(atPath: root.appending(path: top).path)
        for case let name as String in enumerator ?? .init() where !name.hasPrefix("Fixtures/") {
            guard ["swift", "c", "h", "comp", "glsl"].contains(URL(filePath: name).pathExtension),
                let text = try? String(contentsOf: root.appending(path: "\(top)/\(name)"), encoding: .utf8)
            else { continue }
            let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
            files.append(SourceFile(path: "\(top)/\(name)", lines: lines))
        }
    }
    return files.sorted { $0.path < $1.path }
}()

/// The module that `line` imports; nil where it imports none.
private func importedModule(of line: Substring) -> String? {
    let importing = /^\s*(?:@\w+(?:\([^)]*\))?\s+)*(?:\w+\s+)?import\s+(\w+)(?:\s+(\w+))?/
    guard let match = line.firstMatch(of: importing) else { return nil }
    let kinds: Set<Substring> = ["struct", "class", "enum", "func", "protocol", "typealias", "let", "var"]
    return String(kinds.contains(match.1) ? match.2 ?? match.1 : match.1)
}

private func manifest() throws -> String {
    try String(contentsOf: root.appending(path: "Package.swift"), encoding: .utf8)
}

/// The targets of Package.swift: what each depends on, and whether it takes the common Swift settings.
private func declaredTargets() throws -> [String: (dependencies: Set<String>, isStrict: Bool)] {
    let start = /\.(?:target|testTarget|executableTarget|systemLibrary)\(/
    let declarations = try manifest().split(separator: start).dropFirst()
    return declarations.reduce(into: [:]) { targets, declaration in
        let parts = declaration.split(separator: "swiftSettings: swift", maxSplits: 1)
        let names = parts[0].matches(of: /"(\w+)"/).map { String($0.1) }
        guard let name = names.first else { return }
        let paths = parts[0].matches(of: /path: "(\w+)"/).map { String($0.1) }
        targets[name] = (Set(names.dropFirst()).subtracting(paths), parts.count == 2)
    }
}

@Test func theSourcesAreFound() {
    #expect(sourceFiles.contains { $0.path == "Tests/TidyTests/TidyTests.swift" })
    #expect(sourceFiles.contains { $0.path == "Sources/ModelFile/ModelConfiguration.swift" })
}

@Test(arguments: sourceFiles.filter { $0.isSwift && $0.isProduct })
private func importsFollowTheArrows(file: SourceFile) {
    let allowed = arrows[file.target, default: []].union(platform)
    let strays = file.lines { line in importedModule(of: line).map { !allowed.contains($0) } ?? false }
    #expect(strays.isEmpty, "\(file.target) may import \(allowed.subtracting(platform).sorted()) only")
}

@Test func importsOfEverySpellingAreSeen() {
    #expect(importedModule(of: "import Tensors") == "Tensors")
    #expect(importedModule(of: "public import Tensors") == "Tensors")
    #expect(importedModule(of: "@testable import Models") == "Models")
    #expect(importedModule(of: "@_spi(Testing) internal import struct Tensors.Shape") == "Tensors")
    #expect(importedModule(of: "// import Tensors") == nil)
}

@Test func everyTargetHasItsArrows() {
    let targets = Set(sourceFiles.filter(\.isProduct).map(\.target))
    #expect(targets.subtracting(cTargets) == Set(arrows.keys))
    #expect(targets.isDisjoint(with: emptyNames))
}

@Test func theManifestDeclaresTheSameArrows() throws {
    let targets = try declaredTargets()
    for (target, allowed) in arrows {
        #expect(targets[target]?.dependencies == allowed, "\(target) declares other dependencies")
    }
}

/// Tests of these are not searched for races (Scripts/test-sanitized): Memory's ledger alone, which is,
/// knows of threads.
@Test func whatIsNotSearchedForRacesMakesNoThread() {
    let quiet: Set<String> = ["Tokenizers", "Documents", "Memory"]
    let marks = ["pthread_create", "DispatchQueue", "Thread(", "Task {", "withTaskGroup"]
    let makers = sourceFiles.filter { file in
        guard file.isProduct && quiet.contains(file.target) else { return false }
        let strays = file.lines { line in
            importedModule(of: line) == "Threads" || marks.contains { line.contains($0) }
        }
        return !strays.isEmpty
    }
    #expect(makers.map(\.path) == ["Sources/Memory/Ledger.swift"])
}

@Test func everySwiftTargetIsBuiltWithTheStrictSettings() throws {
    let manifest = try manifest()
    for feature in ["ExistentialAny", "InternalImportsByDefault", "MemberImportVisibility"] {
        #expect(manifest.contains(".enableUpcomingFeature(\"\(feature)\")"))
    }
    #expect(manifest.contains(".swiftLanguageMode(.v6)"))
    #expect(manifest.contains(".strictMemorySafety()"))
    for (name, target) in try declaredTargets() where !cTargets.contains(name) {
        #expect(target.isStrict, "\(name) is built without the settings called swift")
    }
}

@Test(arguments: sourceFiles)
private func filesAndLinesStayShort(file: SourceFile) {
    #expect(file.lines.count <= 800, "\(file) has \(file.lines.count) lines")
    #expect(file.lines { $0.count > 110 }.isEmpty)
}

@Test(arguments: sourceFiles.filter { $0.isSwift || $0.isShader })
private func aFileBeginsWithItsRole(file: SourceFile) {
    #expect(
        file.lines.first?.hasPrefix("//! ") == true, "\(file) must begin with a line //! that says its role")
}

@Test(arguments: sourceFiles)
private func nothingIsLeftToDo(file: SourceFile) {
    // Spelled in two halves, so that this file passes its own test.
    let marks = ["TO" + "DO", "FIX" + "ME", "XX" + "X"]
    #expect(file.lines { line in marks.contains { line.contains($0) } }.isEmpty)
}

@Test(arguments: sourceFiles)
private func noPathOfAMachineIsNamed(file: SourceFile) {
    let places = ["/wo" + "rk/", "/ho" + "me/", "/ro" + "ot/"] + (file.isTest ? [] : ["/tm" + "p/"])
    #expect(file.lines { line in places.contains { line.contains($0) } }.isEmpty)
}
