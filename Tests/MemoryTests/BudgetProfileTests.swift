//! The budgets that are shipped, how one is found by its name, and their schema.

import Foundation
import TestSupport
import Tensors
import Testing

@testable import Memory

/// The package's folder of profiles.
private let folder = URL(filePath: #filePath)
    .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()
    .appending(path: "firmware-configs")

@Suite struct BudgetProfileTests {
    static let names = Budget.profileNames(in: [folder.path])

    @Test func thereIsAProfileOfEachKindOfMachine() {
        for word in ["jetson", "raspberrypi", "rock", "laptop", "4090", "deck", "snapdragon"] {
            #expect(Self.names.contains { $0.contains(word) }, "\(word)")
        }
    }

    @Test(arguments: names)
    func aProfileIsWholeAndSaysItsSources(_ name: String) throws {
        let budget = try Budget(named: name, in: [folder.path])
        #expect(budget.name == name)
        #expect(name.wholeMatch(of: /[a-z0-9]+(-[a-z0-9]+)+-\d+gb/) != nil)
        #expect(budget.summary?.isEmpty == false)
        #expect(budget.sources?.isEmpty == false)
        let memory = budget.memory
        #expect(memory.total != nil || memory.host != nil)
        #expect(budget.run.context != nil && budget.run.device != nil && budget.machine.cores != nil)
        // No path of a user's is anybody else's.
        #expect(budget.spill.folder == nil && budget.pages == nil)
        // What is allowed is less than what the machine has, which its name tells.
        let digits = try #require(name.split(separator: "-").last?.dropLast(2))
        let size = try #require(Int(digits)) << 30
        #expect([memory.total, memory.device].allSatisfy { ($0?.bytes ?? 0) < size })
    }

    @Test(arguments: names)
    func everyFigureOfAProfileSaysWhatItIs(_ name: String) throws {
        let text = try String(contentsOf: folder.appending(path: "\(name).toml"), encoding: .utf8)
        let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
        for (line, above) in zip(lines.dropFirst(), lines)
        where line.contains(/^(device|host|total|cores|\w+-bandwidth) = ["\d]/) {
            // The device of [run] is no figure.
            guard
                !line.hasPrefix("device = \"vulkan") && !line.hasPrefix("device = \"cpu")
                    && !line.hasPrefix("device = \"auto")
            else { continue }
            #expect(above.hasPrefix("# "), "\(name): \(line)")
        }
        #expect(text.contains(/(Specified|Measured|Estimated)/))
    }

    @Test func theReadmeListsEveryProfile() throws {
        let readme = try String(contentsOf: folder.appending(path: "README.md"), encoding: .utf8)
        let listed = readme.matches(of: /\| `([a-z0-9-]+)` \|/).map { String($0.1) }
        #expect(listed.sorted() == Self.names)
    }
}

@Suite struct ProfileSearchTests {
    private let first: TemporaryDirectory
    private let second: TemporaryDirectory
    private var folders: [String] { ["/nowhere", first.url.path, second.url.path] }

    init() throws {
        first = try TemporaryDirectory()
        second = try TemporaryDirectory()
        try first.write("run.context = 1".utf8, to: "both.toml")
        try second.write("run.context = 2".utf8, to: "both.toml")
        try second.write("run.context = 3".utf8, to: "only-here.toml")
        try second.write("".utf8, to: "README.md")
    }

    @Test func theFirstFolderThatHasTheNameWins() throws {
        #expect(try Budget(named: "both", in: folders).run.context == 1)
        #expect(try Budget(named: "only-here", in: folders).run.context == 3)
    }

    @Test func aPathThatIsAFileWinsOverAName() throws {
        let path = try first.write("run.context = 9".utf8, to: "mine")
        #expect(try Budget(named: path, in: folders).run.context == 9)
        #expect(try Budget(named: first.path("both.toml"), in: []).run.context == 1)
    }

    @Test func anUnknownNameListsTheNamesThereAre() {
        for name in ["bot", "", "both.toml", "../both", "nowhere/both", first.url.path] {
            let error = #expect(throws: BudgetError.self) { try Budget(named: name, in: folders) }
            #expect(error?.code == .unreadable)
            #expect(error?.message.contains("both, only-here") == true, "\(error?.message ?? "")")
        }
        let error = #expect(throws: BudgetError.self) { try Budget(named: "x", in: ["/nowhere"]) }
        #expect(error?.message.contains("firmware-configs") == true)
    }

    @Test func aProfileWithAFaultIsNamedByItsPath() throws {
        try first.write("run.contxt = 1".utf8, to: "faulty.toml")
        let error = #expect(throws: BudgetError.self) { try Budget(named: "faulty", in: folders) }
        #expect(error?.file == first.path("faulty.toml") && error?.key == "run.contxt")
    }

    @Test func foldersLieBesideAnInstalledProgramAndAboveABuiltOne() {
        let installed = Budget.profileFolders(beside: "/usr/local/bin/thimble")
        #expect(installed.first == "/usr/local/share/thimble/firmware-configs")
        let built = Budget.profileFolders(beside: "/a/package/.build/x86_64/release/thimble")
        #expect(built.contains("/a/package/firmware-configs"))
        #expect(Budget.profileFolders(beside: "thimble").allSatisfy { $0.hasSuffix("/firmware-configs") })
    }

    @Test func profilesAreFoundFromWhereTheTestsRun() throws {
        // The program of the tests lies in the package's build folder, as `thimble` does.
        #expect(Set(BudgetProfileTests.names).isSubset(of: Budget.profileNames))
        #expect(try Budget(named: "raspberrypi-5-8gb").name == "raspberrypi-5-8gb")
    }
}

@Suite struct BudgetManualTests {
    @Test func theManualHasTheKeysThatAreRead() throws {
        let manual = folder.deletingLastPathComponent().appending(path: "docs/budgets.md")
        let text = try String(contentsOf: manual, encoding: .utf8)
        var paths: [String] = []
        var table = ""
        for line in text.split(separator: "\n") {
            if let match = line.firstMatch(of: /^\| \*\*`\[(\w+)\]`\*\*/) { table = "\(match.1)." }
            if let match = line.firstMatch(of: /^\| `([a-z-]+)` \|/) { paths.append(table + match.1) }
        }
        #expect(paths.sorted() == Budget.keys.map(\.path).sorted())
    }
}

@Suite struct BudgetSchemaTests {
    private let schema: [String: Any]

    init() throws {
        let data = try Data(contentsOf: folder.appending(path: "schema.json"))
        schema = try #require(try JSONSerialization.jsonObject(with: data) as? [String: Any])
    }

    private func properties(_ object: [String: Any]) -> [String: [String: Any]] {
        object["properties"] as? [String: [String: Any]] ?? [:]
    }

    @Test func theSchemaHasTheKeysThatAreRead() {
        let top = properties(schema)
        let plain = Budget.keys.filter(\.table.isEmpty).map(\.name)
        #expect(Set(top.keys) == Set(plain + Budget.tables))
        for table in Budget.tables where table != Budget.pagesTable {
            let keys = Budget.keys.filter { $0.table == table }.map(\.name)
            #expect(Set(properties(top[table] ?? [:]).keys) == Set(keys), "[\(table)]")
        }
    }

    @Test func theSchemaRefusesOtherKeysAndExplainsEach() {
        #expect(schema["additionalProperties"] as? Bool == false)
        for (name, entry) in properties(schema) {
            #expect(entry["description"] is String, "\(name)")
            guard name != Budget.pagesTable, entry["type"] as? String == "object" else { continue }
            #expect(entry["additionalProperties"] as? Bool == false, "[\(name)]")
            for (key, inner) in properties(entry) {
                #expect(inner["description"] is String, "\(name).\(key)")
            }
        }
    }

    @Test func theSchemaHasTheSameWordsAndRanges() throws {
        let run = properties(try #require(properties(schema)["run"]))
        let kv = properties(try #require(properties(schema)["kv"]))
        let machine = properties(try #require(properties(schema)["machine"]))
        #expect(run["offload"]?["enum"] as? [String] == Budget.Offload.allCases.map(\.rawValue))
        #expect(kv["type"]?["enum"] as? [String] == KVType.allCases.map(\.rawValue))
        let pages = kv["page-tokens"]?["enum"] as? [Int] ?? []
        #expect(pages == (3...8).map { 1 << $0 })
        #expect(pages.first == MemoryLimits.pageTokenCount.lowerBound)
        #expect(pages.last == MemoryLimits.pageTokenCount.upperBound)
        for key in ["context", "prefill-chunk", "image-tokens"] {
            #expect(run[key]?["maximum"] as? Int == MemoryLimits.tokenCount.upperBound)
        }
        #expect(run["threads"]?["maximum"] as? Int == MemoryLimits.threadCount.upperBound)
        #expect(machine["cores"]?["maximum"] as? Int == MemoryLimits.threadCount.upperBound)
        let thermal = properties(try #require(properties(schema)["thermal"]))
        #expect(thermal["ceiling-celsius"]?["minimum"] as? Double == MemoryLimits.celsius.lowerBound)
        #expect(thermal["ceiling-celsius"]?["maximum"] as? Double == MemoryLimits.celsius.upperBound)
        #expect(thermal["ceiling-watts"]?["minimum"] as? Double == MemoryLimits.watts.lowerBound)
        #expect(thermal["ceiling-watts"]?["maximum"] as? Double == MemoryLimits.watts.upperBound)
    }
}
