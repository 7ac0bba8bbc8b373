//! What no budget may say: refused in one line that names the key and the mend.

import Foundation
import TestSupport
import Testing

@testable import Memory

@Suite struct BudgetRefusalTests {
    /// The fault of a text, which must be one line that names the file.
    private static func fault(_ toml: String) -> BudgetError? {
        let error = #expect(throws: BudgetError.self, "\(toml)") { try BudgetTOMLTests.budget(toml) }
        #expect(error?.code == .malformed)
        #expect(error?.description.hasPrefix("b.toml: ") == true)
        #expect(error?.description.contains(where: \.isNewline) == false, "\(error?.description ?? "")")
        return error
    }

    @Test(arguments: [
        ("nam = \"x\"", "nam", "memory"), ("context = 1", "context", "the tables memory, run"),
        ("[memory]\ndevices = 1", "memory.devices", "device, host, total"),
        ("[run]\ncontxt = 1", "run.contxt", "context, threads"), ("[kv]\n\"\" = 1", "kv.", "type"),
        ("[run.device]\nx = 1", "run.device", "auto"), ("[thermal]\nname = \"x\"", "thermal.name", "zone"),
        ("[memory.more]", "memory.more", "device"), ("[bogus]", "bogus", "name, summary"),
        ("\"a\\nb\" = 1", "a\nb", #"a\u{a}b"#), ("Memory.device = 1", "Memory", "memory"),
        ("[pages.inner]\nx = 1", "pages.inner", "a list of texts"),
    ])
    func anUnknownKeyIsNamedWithItsPlace(_ toml: String, _ key: String, _ hint: String) {
        let error = Self.fault(toml)
        #expect(error?.key == key)
        #expect(error?.message.contains(hint) == true, "\(error?.message ?? "")")
    }

    @Test func everyKeyRefusesWhatIsOfAnotherKind() {
        // Of numbers no key takes a negative one, and no key a list of lists.
        let values = ["true", "{ a = 1 }", "[[1]]", "inf", "nan", "-1"]
        for key in Budget.keys {
            for value in values {
                let error = Self.fault("\(key.path) = \(value)")
                #expect(error?.key == key.path)
                #expect(error?.message.contains("it must be \(key.expected)") == true)
            }
        }
    }

    @Test(arguments: [
        ("name", "\"\""), ("name", "1"), ("summary", "[\"x\"]"), ("sources", "\"x\""),
        ("sources", "[\"x\", 1]"),
        ("sources", "[\"\"]"), ("memory.device", "\"2GB \""), ("memory.device", "1.5"),
        ("memory.device", "\"-1GiB\""), ("memory.device", "\"1G\""), ("memory.host", "0"),
        ("memory.total", "\"0MiB\""), ("memory.device", "\"9000000TiB\""), ("memory.device", "[1]"),
        ("run.context", "0"), ("run.context", "16777217"), ("run.context", "1e3"),
        ("run.context", "\"1024\""),
        ("run.threads", "0"), ("run.threads", "1025"), ("run.device", "\"gpu\""),
        ("run.device", "\"vulkan:\""),
        ("run.device", "\"vulkan:-1\""), ("run.device", "\"vulkan:1024\""), ("run.device", "\"vulkan:+1\""),
        ("run.device", "\"vulkan:1:1\""), ("run.device", "\"cpu:0\""), ("run.offload", "\"disk\""),
        ("run.offload", "\"Auto\""), ("run.gpu-layers", "-1"), ("run.gpu-layers", "\"all\""),
        ("run.prefill-chunk", "0"), ("run.image-tokens", "0"),
        ("kv.type", "\"f32\""), ("kv.page-tokens", "4"), ("kv.page-tokens", "512"), ("kv.page-tokens", "24"),
        ("sessions.folder", "\"\""), ("sessions.size", "-1"), ("sessions.days", "0"),
        ("sessions.days", "36501"), ("sessions.written-a-day", "-1"),
        ("spill.folder", "\"\""), ("spill.size", "\"some\""), ("features.memory", "-5"),
        ("machine.cores", "0"), ("machine.disk-bandwidth", "0"), ("machine.disk-bandwidth", "\"3GB/s\""),
        ("thermal.zone", "\"thermal_zone0\""), ("thermal.zone", "\"/sys/class/thermal\""),
        ("thermal.zone", "\"/sys/class/thermal/\""), ("thermal.zone", "\"/sys/class/thermal/../../x\""),
        ("thermal.zone", "\"/sys/class/thermal/./x\""), ("thermal.zone", "\"/sys/class/thermal//x\""),
        ("thermal.zone", "\"/sys/class/thermals/x\""), ("thermal.zone", "\"/etc/passwd\""),
        ("thermal.power-file", "\"/system/x\""), ("thermal.power-file", "\"/sys/../etc/passwd\""),
        ("thermal.power-file", "\"/sys\""), ("thermal.ceiling-celsius", "19.9"),
        ("thermal.ceiling-celsius", "151"), ("thermal.ceiling-celsius", "\"80\""),
        ("thermal.ceiling-watts", "0"), ("thermal.ceiling-watts", "10001"),
    ])
    func aValueThatCannotBeIsNamed(_ key: String, _ value: String) {
        let error = Self.fault("\(key) = \(value)")
        #expect(error?.key == key)
        #expect(error?.message.contains("; it must be ") == true)
    }

    @Test(arguments: [
        ("memory.total = \"1GiB\"\nmemory.device = \"2GiB\"", "memory.device", "2GiB"),
        ("memory.total = \"1GiB\"\nmemory.host = \"1025MiB\"", "memory.host", "1GiB"),
        ("spill.size = \"1GiB\"", "spill.size", "spill.folder"),
        ("spill.written-a-day = 0", "spill.written-a-day", "spill.folder"),
        ("thermal.ceiling-celsius = 80", "thermal.ceiling-celsius", "thermal.zone"),
        ("thermal.ceiling-watts = 10", "thermal.ceiling-watts", "thermal.power-file"),
    ])
    func whatContradictsItselfIsRefused(_ toml: String, _ key: String, _ hint: String) {
        let error = Self.fault(toml)
        #expect(error?.key == key)
        #expect(error?.message.contains(hint) == true && error?.message.contains("leave it out") == true)
    }

    @Test(arguments: ["memory", "run", "kv", "spill", "sessions", "features", "pages", "machine", "thermal"])
    func aTableMustBeOne(_ name: String) {
        #expect(Self.fault("\(name) = 1")?.message.contains("[\(name)]") == true)
    }

    @Test func whatIsNoTOMLIsToldByItsLine() {
        for (toml, line) in [
            ("a = ", 1), ("\n\nname = \"x", 3), ("name = 'x'\nname = 'y'", 2), ("[run]\n[run]", 2),
            ("[run\n", 1),
            ("\n= 1", 2), ("name = \"\\q\"", 1), ("\u{0}", 1), ("name = \"a\u{1}\"", 1), ("\n[[run]]", 2),
            ("sources = [\n'x',\n2020-01-01]", 3),
        ] {
            #expect(Self.fault(toml)?.message.contains("line \(line): ") == true, "\(toml.debugDescription)")
        }
    }

    @Test func aZeroByteIsNoText() {
        #expect(Self.fault(#"name = "a\u0000b""#)?.key == "name")
        #expect(Self.fault(#"pages."k\u0000" = 1"#)?.key == "pages")
        #expect(Self.fault(#"pages.k = "\U00000000""#)?.key == "pages.k")
    }

    @Test func aMessageQuotesNoMoreThanItMust() {
        let long = String(repeating: "x", count: 4000)
        #expect((Self.fault("run.device = \"\(long)\"")?.message.count ?? .max) < 300)
        #expect((Self.fault("\(long) = 1")?.message.count ?? .max) < 400)
    }

    @Test func limitsAreHeldToTheByte() throws {
        let text = MemoryLimits.maximumTextByteCount
        #expect(
            try BudgetTOMLTests.budget("name = \"\(String(repeating: "x", count: text))\"").name?.count
                == text)
        #expect(Self.fault("name = \"\(String(repeating: "x", count: text + 1))\"")?.key == "name")
        let items = MemoryLimits.maximumItemCount
        func list(_ count: Int) -> String { "sources = [\(String(repeating: "\"x\",", count: count))]" }
        #expect(try BudgetTOMLTests.budget(list(items)).sources?.count == items)
        #expect(Self.fault(list(items + 1))?.key == "sources")
        func pages(_ count: Int) -> String { "[pages]\n" + (0..<count).map { "k\($0) = 1\n" }.joined() }
        #expect(try BudgetTOMLTests.budget(pages(items)).pages?.count == items)
        #expect(Self.fault(pages(items + 1))?.key == "pages")
        let file = MemoryLimits.maximumFileByteCount
        let comment = "# " + String(repeating: "x", count: file - 2)
        #expect(try BudgetTOMLTests.budget(comment) == Budget())
        #expect(Self.fault(comment + "x")?.message.contains("\(file)") == true)
    }

    @Test func aBudgetThatIsTooLongToBeWrittenIsRefused() {
        var budget = Budget()
        budget.sources = Array(repeating: String(repeating: "x", count: 4096), count: 32)
        #expect(throws: BudgetError.self) { try budget.validate() }
    }
}

@Suite struct BudgetFileTests {
    @Test func aFileIsReadAlsoThroughALink() throws {
        let folder = try TemporaryDirectory()
        let path = try folder.write("run.context = 7".utf8, to: "b.toml")
        try FileManager.default.createSymbolicLink(atPath: folder.path("link"), withDestinationPath: path)
        #expect(try Budget(path: path).run.context == 7)
        #expect(try Budget(path: folder.path("link")).run.context == 7)
    }

    @Test func whatIsNoFileIsUnreadable() throws {
        let folder = try TemporaryDirectory()
        for path in [folder.url.path, folder.path("none"), "/dev/zero", ""] {
            let error = #expect(throws: BudgetError.self) { try Budget(path: path) }
            #expect(error?.code == .unreadable && error?.file == path)
        }
    }

    @Test func aFileThatIsTooLargeIsRefused() throws {
        let folder = try TemporaryDirectory()
        let limit = MemoryLimits.maximumFileByteCount
        let path = try folder.write(Array(repeating: UInt8(ascii: " "), count: limit), to: "b.toml")
        #expect(try Budget(path: path) == Budget())
        try folder.write(Array(repeating: UInt8(ascii: " "), count: 50 * limit), to: "b.toml")
        let error = #expect(throws: BudgetError.self) { try Budget(path: path) }
        #expect(error?.code == .malformed && error?.message.contains("\(limit)") == true)
    }
}
