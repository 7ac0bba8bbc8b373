//! Holds each enumeration of the header, constant by constant, against what it is in Swift.

import CThimble
import Foundation
import TestSupport
import Testing
import Thimble

@testable import ThimbleCAPI

/// The text of all sources of a module.
private func sources(of module: String) throws -> String {
    let folder = Fixtures.packageRoot.appending(path: "Sources/\(module)")
    let files = try FileManager.default.contentsOfDirectory(at: folder, includingPropertiesForKeys: nil)
    return try files.filter { $0.pathExtension == "swift" }.map {
        try String(contentsOf: $0, encoding: .utf8)
    }
    .joined()
}

/// The enumerations of the header: of each, its constants with their numbers. The one without a name is known
/// by an empty one, and what only says how wide a type is, is no constant.
private func enumerations() throws -> [String: [String: UInt32]] {
    let path = Fixtures.packageRoot.appending(path: "Sources/CThimble/include/thimble.h")
    let header = try String(contentsOf: path, encoding: .utf8)
    var found: [String: [String: UInt32]] = [:]
    for block in header.matches(of: /(?m)^(?:typedef )?enum (?:(\w+) )?\{\n((?:.*\n)*?)\}/) {
        var constants: [String: UInt32] = [:]
        for constant in block.2.matches(of: /(?m)^ +(THIMBLE_\w+) = (\w+),?$/) {
            if constant.2 == "0x7fffffff" && constant.1.hasSuffix("_MAX") { continue }
            let number = try #require(UInt32(constant.2))
            constants[String(constant.1)] = number
        }
        // Each line is a constant or a comment: none is passed over.
        let lines = block.2.split(separator: "\n").filter { !$0.contains("///") }
        let widths = block.2.matches(of: /_MAX = 0x7fffffff/).count
        #expect(lines.count == constants.count + widths, "\(block.1 ?? "")")
        let before = found.updateValue(constants, forKey: block.1.map(String.init) ?? "")
        #expect(before == nil)
    }
    return found
}

/// The constants that Swift's cases are, by a prefix and their name in the header's spelling, and those
/// beside them that no case is.
private func constants<Case>(
    _ prefix: String, _ cases: some Sequence<Case>, besides own: [String: UInt32] = [:],
    _ number: (Case) -> UInt32
) -> [String: UInt32] {
    own.merging(cases.map { (prefix + headerName("\($0)"), number($0)) }) { first, _ in
        Issue.record("\(prefix) has two of \(first)")
        return first
    }
}

@Test func everyEnumerationIsThatOfSwift() throws {
    let swift: [String: [String: UInt32]] = [
        "thimble_status": constants(
            "THIMBLE_E_", ThimbleError.Code.allCases,
            besides: [
                "THIMBLE_OK": THIMBLE_OK.rawValue, "THIMBLE_E_BUSY": THIMBLE_E_BUSY.rawValue,
                "THIMBLE_E_STOPPED": THIMBLE_E_STOPPED.rawValue,
                "THIMBLE_E_TOO_SMALL": THIMBLE_E_TOO_SMALL.rawValue,
            ]
        ) { CallFault(ThimbleError($0, "")).status.rawValue },
        "thimble_kv_type": constants(
            "THIMBLE_KV_", KVType.allCases, besides: ["THIMBLE_KV_DEFAULT": THIMBLE_KV_DEFAULT.rawValue]
        ) { $0.number.rawValue },
        "thimble_role": constants("THIMBLE_ROLE_", Message.Role.allCases) { $0.number.rawValue },
        "thimble_reading_mode": constants(
            "THIMBLE_READING_", ReadingMode.allCases,
            besides: ["THIMBLE_READING_DEFAULT": THIMBLE_READING_DEFAULT.rawValue]
        ) { $0.number.rawValue },
        "thimble_finish": constants(
            "THIMBLE_FINISH_", FinishReason.allCases,
            besides: ["THIMBLE_FINISH_NONE": thimble_finish(nil).rawValue]
        ) { thimble_finish($0).rawValue },
    ]
    let header = try enumerations()
    for (name, constants) in swift { #expect(header[name] == constants, "\(name)") }
    // The others are no cases in Swift: what is behind the interface reads or gives each by its name.
    let others: Set = ["thimble_detail", "thimble_text_form", "thimble_image_format", "thimble_choice", ""]
    #expect(Set(header.keys) == others.union(swift.keys))
    let code = try sources(of: "ThimbleCAPI")
    for name in others {
        let constants = try #require(header[name])
        #expect(constants.count > 1)
        for constant in constants.keys {
            #expect(code.contains(try Regex(#"\b\#(constant)\b"#)), "\(constant)")
        }
    }
}

/// Roles and modes go both ways: what a number means is what that is in numbers.
@Test func numbersMeanTheCasesTheyAre() throws {
    for role in Message.Role.allCases { #expect(try Message.Role(role.number) == role) }
    for number in UInt32(0)..<16
    where !Message.Role.allCases.contains(where: { $0.number.rawValue == number }) {
        #expect(throws: CallFault.self) { try Message.Role(thimble_role(rawValue: number)) }
    }
}

/// Each constant's number as it was when it was first in the header, of those that are no cases in Swift:
/// they never change.
@Test func everyConstantKeepsItsNumber() throws {
    let header = try enumerations()
    let pinned: [String: [String]] = [
        "thimble_detail": [
            "NONE", "NULL", "STRUCT_SIZE", "UNKNOWN_FIELD", "HANDLE", "ENCODING", "RANGE", "IN_USE",
            "REENTERED",
            "ANSWERING", "NOT_ANSWERING", "HAS_OPEN", "HANDLES",
        ].map { "DETAIL_\($0)" },
        "thimble_text_form": ["TEXT_PLAIN", "TEXT_JSON"],
        "thimble_image_format": ["IMAGE_FILE", "IMAGE_RGB"],
        "thimble_choice": ["AUTO", "ON", "OFF"],
    ]
    for (name, names) in pinned {
        let numbers = names.enumerated().map { ("THIMBLE_\($1)", UInt32($0)) }
        #expect(header[name] == Dictionary(uniqueKeysWithValues: numbers), "\(name)")
    }
    let fields = [
        "TEMPERATURE", "TOP_K", "TOP_P", "MIN_P", "REPETITION_PENALTY", "FREQUENCY_PENALTY",
        "PRESENCE_PENALTY",
        "SEED",
    ]
    let bits = fields.enumerated().map { ("THIMBLE_SETS_\($1)", UInt32(1) << UInt32($0)) }
    #expect(header[""] == Dictionary(uniqueKeysWithValues: bits))
}
