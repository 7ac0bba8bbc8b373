//! TOML: every way to write a value, what the specification forbids, and the limits of our own.

import TestSupport
import Testing

@testable import Memory

extension TOMLItem {
    /// The table that a text is.
    static func parse(_ text: String) throws(TOMLFault) -> TOMLItem {
        .table(try TOMLParser.parse(Array(text.utf8)))
    }

    /// The value as plain types, without lines: for comparisons.
    var plain: String {
        switch self {
        case .text(let text): text.debugDescription
        case .whole(let number): "\(number)"
        case .number(let number): "\(number)"
        case .truth(let truth): "\(truth)"
        case .list(let items): "[\(items.map(\.plain).joined(separator: " "))]"
        case .table(let entries):
            "{\(Self.plain(entries))}"
        }
    }
}

extension TOMLItem {
    fileprivate static func plain(_ entries: [String: TOMLEntry]) -> String {
        let members = entries.sorted { $0.key < $1.key }
        return members.map { "\($0.key)=\($0.value.item.plain)" }.joined(separator: " ")
    }
}

@Suite struct TOMLParserTests {
    @Test(arguments: [
        ("1", "1"), ("+1", "1"), ("-1", "-1"), ("0", "0"), ("-0", "0"), ("1_000", "1000"), ("1_2_3", "123"),
        ("0xFf", "255"), ("0x00_1", "1"), ("0o17", "15"), ("0b1_01", "5"),
        ("9223372036854775807", "\(Int.max)"),
        ("-9223372036854775808", "\(Int.min)"), ("1.5", "1.5"), ("-0.0", "-0.0"), ("1e3", "1000.0"),
        ("1E+3", "1000.0"), ("5e-1", "0.5"), ("6.25e-2", "0.0625"), ("1_0.0_5", "10.05"), ("0e0", "0.0"),
        ("1e05", "100000.0"),
        ("inf", "inf"), ("+inf", "inf"), ("-inf", "-inf"), ("nan", "nan"), ("-nan", "nan"),
        ("1e999", "inf"),
        ("true", "true"), ("false", "false"),
    ])
    func numbersAndTruths(_ text: String, _ plain: String) throws {
        #expect(try TOMLItem.parse("a = \(text)").plain == "{a=\(plain)}")
    }

    @Test(arguments: [
        (#""""#, ""), (#""a\tb\n\"\\\b\f\r""#, "a\tb\n\"\\\u{8}\u{C}\r"),
        (#""\u00e9\U0001F600""#, "é\u{1F600}"),
        ("\"tab\tand 漢\"", "tab\tand 漢"), ("''", ""), (#"'a\n"b'"#, #"a\n"b"#), (#""a # b""#, "a # b"),
        ("\"\"\"a\"\"\"", "a"), ("\"\"\"\"\"\"", ""), ("\"\"\"\na\nb\"\"\"", "a\nb"),
        ("\"\"\"\r\na\r\nb\"\"\"", "a\nb"),
        ("\"\"\"a\\\n   \n\t b\"\"\"", "ab"), ("\"\"\"a\\  \n b\\t\"\"\"", "ab\t"),
        ("\"\"\"\"a\"\" \"\"\"", "\"a\"\" "), ("\"\"\"a\"\"\"\"", "a\""), ("\"\"\"a\"\"\"\"\"", "a\"\""),
        ("\"\"\"\\\"\"\"\"", "\""), ("'''a'''", "a"), ("'''\na\\\nb'''", "a\\\nb"), ("'''a'''''", "a''"),
        ("'''''a'''", "''a"), ("\"\"\"a\\\r\n b\"\"\"", "ab"),
    ])
    func texts(_ text: String, _ value: String) throws {
        guard case .table(let entries) = try TOMLItem.parse("a = \(text) # x"),
            case .text(let found) = entries["a"]?.item
        else { throw TOMLFault(line: nil, detail: "no text") }
        #expect(Array(found.utf8) == Array(value.utf8))
    }

    @Test(arguments: [
        ("", "{}"), ("\u{FEFF}a = 1", "{a=1}"), ("a=1\r\nb=2\r\n", "{a=1 b=2}"),
        ("a.b.c = 1\na.b.d = 2", "{a={b={c=1 d=2}}}"),
        ("[a]\nb = 1\n[a.c]\nd = 2", "{a={b=1 c={d=2}}}"),
        ("[a.b]\nx = 1\n[a]\ny = 2", "{a={b={x=1} y=2}}"),
        ("1 = 2\n-_a = 3", "{-_a=3 1=2}"),
        ("a = []\nb = [1, 2,]\nc = [ # x\n 'y', # z\n\n]", #"{a=[] b=[1 2] c=["y"]}"#),
        ("a = [[1], ['x', [true]]]", #"{a=[[1] ["x" [true]]]}"#),
        ("a = {}\nb = { c = 1, d.e = 'x' }", #"{a={} b={c=1 d={e="x"}}}"#),
        ("a = [{b = 1}, {}]", "{a=[{b=1} {}]}"), ("[ a . \"b\" ]\n[c]\t# x", "{a={b={}} c={}}"),
        ("[a.b]\n[a]\nc.d = 1\nc.e = 2", "{a={b={} c={d=1 e=2}}}"),
        ("a.b = 1\n[a.c]\nd = 2", "{a={b=1 c={d=2}}}"),
        ("a = 1 # comment\n# another\n\t\n", "{a=1}"), ("3.14 = 1", "{3={14=1}}"),
        ("true = false", "{true=false}"),
    ])
    func tablesAndLists(_ text: String, _ plain: String) throws {
        #expect(try TOMLItem.parse(text).plain == plain)
    }

    @Test func quotedKeysAreWhatTheySpell() throws {
        guard case .table(let entries) = try TOMLItem.parse("\"a b\".'c.d' = 1\n\"\" = 2\n\"\\u0061\" = 3")
        else { return }
        #expect(Set(entries.keys) == ["a b", "", "a"])
        #expect(entries["a b"]?.item.plain == "{c.d=1}")
    }

    @Test func everyEntryKnowsItsLine() throws {
        let entries = try TOMLParser.parse(
            Array("a = 1\n\n[b]\nc = [\n1,\n]\nd = \"\"\"\n\\\n\n\"\"\"\ne = 2".utf8))
        #expect(entries["a"]?.line == 1 && entries["b"]?.line == 3)
        guard case .table(let inner) = entries["b"]?.item else {
            throw TOMLFault(line: nil, detail: "no table")
        }
        #expect(inner.mapValues(\.line) == ["c": 4, "d": 7, "e": 11])
    }

    @Test(arguments: [
        "a", "a =", "= 1", "a = 1 b = 2", "a = 1, b = 2", "a b = 1", "a. = 1", ".a = 1", "a..b = 1", "[a",
        "[]", "[a]]",
        "[a] b = 1", "[.a]", "[a.]", "[a..b]", "[\na]", "[[a]]", "[ [a]]", "a = [", "a = [1", "a = [1 2]",
        "a = [,]", "a = [1,,2]",
        "a = {", "a = {b}", "a = {b = 1", "a = {b = 1,}", "a = {,}", "a = {\nb = 1}", "a = {b = 1\n}",
        "a = {b = 1 c = 2}",
        "a = x", "a = True", "a = 01", "a = +01", "a = 1__0", "a = _1", "a = 1_", "a = 0x", "a = 0xg",
        "a = -0x1", "a = +0b1",
        "a = 0X1", "a = 0b2", "a = 0o8", "a = 1.", "a = .5", "a = 1.e3", "a = 1e", "a = 1e+", "a = 1e1.5",
        "a = 1._5", "a = 1_.5",
        "a = 01.5", "a = --1", "a = 1+1", "a = Inf", "a = inf1", "a = 9223372036854775808",
        "a = -9223372036854775809",
        "a = 0xFFFFFFFFFFFFFFFF", "a = 1979-05-27", "a = 07:32:00", "a = 1979-05-27T07:32:00Z",
        "a = 1979-05-27 07:32:00",
        "a = \"", "a = \"x", "a = \"x\ny\"", "a = 'x", "a = 'x\ny'", "a = \"\"\"", "a = \"\"\"x\"\"",
        "a = '''x''", "a = \"\"\"x\"\"\"\"\"\"",
        #"a = "\q""#, #"a = "\""#, #"a = "\u12""#, #"a = "\ud800""#, #"a = "\U00110000""#, #"a = "\x41""#,
        "a = \"\"\"\\x\"\"\"", "a = \"\\ \n\"",
        "a = \"\"\"\\ x\n\"\"\"", "\"\"\"a\"\"\" = 1", "'''a''' = 1", "\"a\nb\" = 1", "a = \"\u{1}\"",
        "a = '\u{7F}'", "a = \"\"\"\u{B}\"\"\"", "a = '''\u{0}'''", "# \u{1}",
        "\u{1}", "a = 1\r", "a = \"x\ry\"", "\ra = 1", "# x\ry", "a = \"\"\"x\ry\"\"\"", "a\u{A0}= 1",
        "ä = 1", "a = 1\u{2028}b = 2",
        "a = 1\na = 2", "a = 1\n\"a\" = 2", "a.b = 1\na.b = 2", "a = 1\na.b = 2", "a.b = 1\na = 2",
        "[a]\n[a]", "a = 1\n[a]", "[a]\nb = 1\n[a.b]",
        "[a.b]\n[a]\nb = 1", "[a.b]\n[a]\nb.c = 1", "a.b = 1\n[a]", "[a]\nb.c = 1\n[a.b]", "a = {}\n[a]",
        "a = {}\n[a.b]", "a = {}\na.b = 1", "a = {b = {}}\n[a.b.c]",
        "a = {b = 1, b = 2}", "a = {b = 1, b.c = 2}", "a = {b.c = 1, b = 2}", "a = [1]\n[a]",
        "a = [{}]\n[a.b]", "a = [{b = 1, b = 1}]", "a = {b.c = {}, b.c.d = 1}",
        "[a.b.c]\n[a]\nb.c.t = 1",
    ])
    func whatIsNoTOMLIsRefused(_ text: String) {
        #expect(throws: TOMLFault.self) { try TOMLItem.parse(text) }
    }

    @Test func whatIsNotUTF8IsRefused() {
        for bytes in [[0xFF], [0x23, 0xC3], [0x23, 0xED, 0xA0, 0x80]] as [[UInt8]] {
            let fault = #expect(throws: TOMLFault.self) { try TOMLParser.parse(bytes) }
            #expect(fault?.line == nil && fault?.detail.contains("UTF-8") == true)
        }
    }

    /// Texts whose tables or lists lie `depth` deep, in every way that TOML has.
    private static func nested(_ depth: Int) -> [String] {
        func times(_ text: String, _ count: Int) -> String { String(repeating: text, count: count) }
        return [
            "x = \(times("[", depth))\(times("]", depth))",
            "x = \(times("{ a = ", depth))1\(times("}", depth))",
            "\(times("a.", depth))a = 1", "[\(times("a.", depth))a]", "\(times("'a' . ", depth))a = 1",
            "x = {\(times("a.", depth))a = 1}", "x = \(times("[\n# [\n", depth))\(times("]", depth))",
        ]
    }

    @Test func depthIsLimitedHoweverItIsMade() throws {
        let limit = MemoryLimits.maximumDepth
        for text in Self.nested(limit - 1) { _ = try TOMLItem.parse(text) }
        for depth in [limit + 1, 5000] {
            for text in Self.nested(depth) + ["x = \(String(repeating: "[{a=", count: depth))"] {
                let fault = #expect(throws: TOMLFault.self) { try TOMLItem.parse(text) }
                #expect(fault?.detail.contains("within one another") == true, "\(text.prefix(40))")
            }
        }
    }

    @Test func textCutAnywhereIsAFaultOrLess() {
        let bytes = Array(BudgetTOMLTests.everything.utf8)
        for count in 0..<bytes.count { _ = try? TOMLParser.parse(Array(bytes[..<count])) }
    }

    @Test func aChangedByteIsAFaultOrAnotherText() {
        let bytes = Array(BudgetTOMLTests.everything.utf8)
        var random = SeededGenerator(seed: 21)
        for _ in 0..<caseCount(20_000) {
            var changed = bytes
            for _ in 0...random.integer(below: 3) {
                changed[random.integer(below: bytes.count)] =
                    random.element(of: Array("[]{}\"'\\#=.,\n\r\t 0a-_+:\u{1}".utf8) + [0x80, 0xFF])
            }
            _ = try? Budget(toml: changed, file: "b.toml")
        }
    }
}
