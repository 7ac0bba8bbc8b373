//! Holds the header to what it promises: every compiler takes it, every symbol is described and exported.

import Foundation
import TestSupport
import Testing

private let folder = Fixtures.packageRoot.appending(path: "Sources/CThimble")

private func text(_ name: String) throws -> String {
    try String(contentsOf: folder.appending(path: name), encoding: .utf8)
}

/// The names of the functions that the header declares.
private func functions() throws -> [String] {
    try text("include/thimble.h").matches(of: /THIMBLE_API[^;(]*?\b(thimble_\w+)\(/).map { String($0.1) }
}

/// Runs a compiler; what it said, or nil where it is not installed.
private func complaint(of compiler: String, _ arguments: [String]) throws -> String? {
    let process = Process()
    process.executableURL = URL(filePath: "/usr/bin/env")
    process.arguments = [compiler] + arguments
    let pipe = Pipe()
    process.standardError = pipe
    process.standardOutput = pipe
    try process.run()
    let said = try pipe.fileHandleForReading.readToEnd() ?? Data()
    process.waitUntilExit()
    if process.terminationStatus == 127 { return nil }
    return process.terminationStatus == 0 ? "" : String(decoding: said, as: UTF8.self)
}

@Test(arguments: ["gcc", "clang"], ["c99", "c11", "c2x", "c++17"])
func everyCompilerTakesTheHeader(compiler: String, standard: String) throws {
    let directory = try TemporaryDirectory()
    let isPlusPlus = standard.hasPrefix("c++")
    let program = try directory.write(
        """
        #include "thimble.h"
        #include "thimble.h"
        int main(void) { return (int)thimble_abi_version(); }

        """.utf8, to: isPlusPlus ? "program.cpp" : "program.c")
    let name = isPlusPlus ? (compiler == "gcc" ? "g++" : "clang++") : compiler
    let said = try complaint(
        of: name,
        [
            "-std=\(standard)", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-fsyntax-only",
            "-I\(folder.appending(path: "include").path)", program,
        ])
    #expect(said ?? "" == "")
}

@Test func everyDeclarationIsDescribed() throws {
    let lines = try text("include/thimble.h").split(separator: "\n", omittingEmptySubsequences: false)
    var declarations = 0
    for (index, line) in lines.enumerated() {
        let isTopLevel = line.hasPrefix("THIMBLE_API") || line.hasPrefix("typedef") || line == "enum {"
        guard isTopLevel else { continue }
        declarations += 1
        #expect(lines[index - 1].hasPrefix("///"), "line \(index + 1): \(line)")
    }
    #expect(try declarations > functions().count)
    #expect(try functions().count == 30)
}

/// The comments before a declaration: each `///` line without its mark, the last block of them.
private func comment(above index: Int, in lines: [Substring]) -> String {
    let block = lines[..<index].reversed().prefix { $0.hasPrefix("///") }.reversed()
    return block.map { $0.dropFirst(3).drop { $0 == " " } }.joined(separator: "\n")
}

/// Of each function, and of each callback, which thread runs it, and whose is what goes in and comes out.
@Test func everyFunctionSaysItsThreadsAndItsOwners() throws {
    let lines = try text("include/thimble.h").split(separator: "\n", omittingEmptySubsequences: false)
    var (functionCount, callbackCount) = (0, 0)
    for (index, line) in lines.enumerated() {
        let isFunction = line.hasPrefix("THIMBLE_API")
        let isCallback = line.contains(/^typedef \w+ \(\*thimble_\w+_fn\)/)
        guard isFunction || isCallback else { continue }
        if isFunction { functionCount += 1 } else { callbackCount += 1 }
        let comment = comment(above: index, in: lines)
        #expect(comment.contains(/(?m)^Threads: (any|the one)\b[^.]*\./), "line \(index + 1): \(line)")
        let ownership = comment.firstMatch(of: /(?ms)^Ownership: (.+)\.$/)?.1 ?? ""
        #expect(!ownership.isEmpty, "line \(index + 1): \(line)")
        // Whatever goes in by address, or comes out so, is spoken of by its name.
        let declaration = lines[index...].prefix { !$0.isEmpty }.joined(separator: " ")
        for parameter in declaration.matches(of: /\*+(\w+)(?=[,)])/).map(\.1) {
            let isHandle = try Regex(#"thimble_(runtime|model|session) \*\#(parameter)[,)]"#)
            if parameter.hasSuffix("_fn") || declaration.contains(isHandle) { continue }
            #expect(
                ownership.contains("`\(parameter)`") || ownership.contains("`*\(parameter)`"),
                "line \(index + 1): \(parameter)")
        }
    }
    #expect(try functionCount == functions().count && callbackCount == 4)
}

@Test func whatIsExportedIsWhatTheHeaderDeclares() throws {
    let exported = try text("exports.map").matches(of: /(?m)^    (thimble_\w+);$/).map { String($0.1) }
    #expect(try exported == functions())
    let definition = /(?m)^[a-z][^;(\n]*\b(thimble_\w+)\(/
    let defined = try text("Exports.c").matches(of: definition).map { String($0.1) }
    #expect(try Set(defined) == Set(functions()) && defined.count == exported.count)
}

/// `make fuzz` calls them in any order.
@Test func everyFunctionIsFuzzed() throws {
    let targets = try ["", "+Runtimes"].map { name in
        let path = Fixtures.packageRoot.appending(path: "Fuzz/Targets/InterfaceTarget\(name).swift")
        return try String(contentsOf: path, encoding: .utf8)
    }
    for function in try functions() {
        #expect(targets.contains { $0.contains("\(function)(") }, "\(function)")
    }
}

@Test(arguments: ["gcc", "clang"])
func theProgramOfTheDocumentationCompiles(compiler: String) throws {
    let page = Fixtures.packageRoot.appending(path: "docs/embedding.md")
    let blocks = try String(contentsOf: page, encoding: .utf8).matches(of: /(?s)```c\n(.*?)```/).map(\.1)
    let program = try #require(blocks.first)
    #expect(program.contains("int main(void)"))
    let directory = try TemporaryDirectory()
    let path = try directory.write(program.utf8, to: "ask.c")
    let said = try complaint(
        of: compiler,
        ["-std=c11", "-Wall", "-Wextra", "-Werror", "-fsyntax-only"]
            + ["-I\(folder.appending(path: "include").path)", path])
    #expect(said ?? "" == "")
}
