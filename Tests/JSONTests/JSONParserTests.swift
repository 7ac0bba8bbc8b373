//! What is JSON and what is not, and what a text may ask for.

import Foundation
import TestSupport
import Testing

@testable import JSON

@Suite struct JSONParserTests {
    private func parse(_ text: String, _ limits: JSONLimits = JSONLimits()) throws(JSONFault) -> JSONValue {
        try JSONValue(parsing: Array(text.utf8), limits)
    }

    @Test func jsonIsReadByItsRules() throws {
        #expect(
            try parse(#" {"a":[1,-2.5e1,true,null,"\u00e9\ud83d\ude00\n"],"b":{}} "#)
                == .object([
                    "a": .array([.integer(1), .number(-25), .bool(true), .null, .string("é😀\n")]),
                    "b": .object([:]),
                ]))
        for text in [
            "01", "1.", "-", "+1", "[1,]", "{\"a\" 1}", "{,}", "\"\\x\"", "\"\\ud800\"", "\"a", "nul", "1 2",
            "1e999", "{\"a\":1 \"b\":2}", "\"\u{1}\"", "[1 2]", "", " ", "{\"a\":1,}", "tru", "\"a\\", "NaN",
            "\u{FEFF}", "[1]\u{FEFF}",
        ] {
            #expect(throws: JSONFault.self, "\(text)") { try parse(text) }
        }
        #expect(throws: JSONFault.self) { try JSONValue(parsing: [0x22, 0xFF, 0x22]) }
    }

    @Test func aByteOrderMarkMayStandBeforeAll() throws {
        #expect(try parse("\u{FEFF}[1]") == .array([.integer(1)]))
    }

    @Test func integersStayExactAndLongerOnesAreRounded() throws {
        #expect(try parse("9223372036854775807") == .integer(.max))
        #expect(try parse("-9223372036854775808") == .integer(.min))
        #expect(try parse("9223372036854775808") == .number(0x1p63))
        // As tokenizer_config.json has it where a model sets no limit.
        #expect(try parse("1000000000000000019884624838656") == .number(1e30))
        #expect(try parse("-0") == .integer(0))
    }

    @Test func aFaultSaysWhereAndWhat() {
        let fault = #expect(throws: JSONFault.self) { try parse(#"{"a":[1 2]}"#) }
        #expect(fault == JSONFault(offset: 8, detail: "expected ','"))
        #expect(fault.map { "\($0)" } == "not valid JSON at byte 8: expected ','")
    }

    @Test func whatPassesALimitIsRefused() throws {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            func nested(_ depth: Int) -> String {
                String(repeating: open, count: depth) + "0" + String(repeating: close, count: depth)
            }
            _ = try parse(nested(3), JSONLimits(depth: 4))
            let fault = #expect(throws: JSONFault.self) { try parse(nested(4), JSONLimits(depth: 4)) }
            #expect(fault?.detail == "nested too deep")
            #expect(throws: JSONFault.self) { try parse(nested(100_000)) }
            #expect(throws: JSONFault.self) { try parse(String(repeating: open, count: 100_000)) }
        }
        _ = try parse("[1,[2,3],{\"a\":4}]", JSONLimits(valueCount: 7))
        let fault = #expect(throws: JSONFault.self) {
            try parse("[1,[2,3],{\"a\":4}]", JSONLimits(valueCount: 6))
        }
        #expect(fault?.detail == "too many values")
    }

    @Test func ofTwoValuesOfAKeyTheFirstCountsOrBothAreRefused() throws {
        let text = #"{"a":1,"b":2,"a":3}"#
        #expect(try parse(text) == .object(["a": .integer(1), "b": .integer(2)]))
        let fault = #expect(throws: JSONFault.self) {
            try parse(text, JSONLimits(duplicateKeys: .refused))
        }
        #expect(fault?.detail == "duplicate key \"a\"")
    }

    /// Foundation reads the same of whatever both take. It takes a comma before a bracket, too.
    @Test func damagedTextsAreReadAsFoundationReadsThemOrRefused() throws {
        let whole = Array(#"{"ab":[10,-2.5e1,true,null,"\u00e9\n/"],"b":{"c":{}},"n":0.125}"#.utf8)
        var generator = SeededGenerator(seed: 11)
        var (accepted, refused) = (0, 0)
        for _ in 0..<caseCount(4000) {
            var bytes = whole
            for _ in 0..<Int.random(in: 1...3, using: &generator) {
                let place = Int.random(in: 0..<bytes.count, using: &generator)
                switch Int.random(in: 0..<3, using: &generator) {
                case 0: bytes.remove(at: place)
                case 1:
                    bytes[place] = Array("0123456789-\",{}[]:e\\utrfn .".utf8).randomElement(
                        using: &generator)!
                default: bytes.insert(bytes[place], at: place)
                }
            }
            guard let value = try? JSONValue(parsing: bytes, JSONLimits(duplicateKeys: .refused)) else {
                refused += 1
                continue
            }
            accepted += 1
            let object = try JSONSerialization.jsonObject(with: Data(bytes), options: .fragmentsAllowed)
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(Self.same(value, object), "\(text) is \(value) here and \(object) there")
        }
        #expect(accepted > caseCount(100) && refused > caseCount(100))
    }

    private static func same(_ value: JSONValue, _ object: Any) -> Bool {
        switch (value, object) {
        case (.null, is NSNull): true
        case (.bool(let value), let object as Bool): value == object
        case (.integer(let value), let object as Int): value == object
        case (.number(let value), let object as Double): value == object
        case (.string(let value), let object as String): value == object
        case (.array(let values), let objects as [Any]):
            values.count == objects.count && zip(values, objects).allSatisfy(same)
        case (.object(let members), let objects as [String: Any]):
            members.count == objects.count
                && members.allSatisfy { key, value in objects[key].map { same(value, $0) } ?? false }
        default: false
        }
    }
}
