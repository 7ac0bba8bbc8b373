//! Line and page breaks against ReportLab's own, recorded by Tests/Fixtures/documents/make_layouts.py.

import Foundation
import Testing

@testable import Documents

/// One text with its settings and where ReportLab broke it.
struct LayoutCase: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let settings: PageSettings
    let text: String
    let pages: Int
    /// The first line of each page; none where a page is empty.
    let firstLines: [[String]]
    /// FNV-1a over every line's text and baseline.
    let digest: String
    /// Every line, in full recordings only.
    let lines: [[[Entry]]]?

    enum Entry: Decodable, Sendable {
        case text(String)
        case number(Double)

        init(from decoder: any Decoder) throws {
            let value = try decoder.singleValueContainer()
            self = try (try? .text(value.decode(String.self))) ?? .number(value.decode(Double.self))
        }
    }

    var testDescription: String { name }

    static let all: [LayoutCase] = {
        let data = try! Data(contentsOf: Fixtures.directory.appending(path: "layouts.json"))
        return try! JSONDecoder().decode([LayoutCase].self, from: data)
    }()
}

enum Fixtures {
    static let directory = URL(filePath: #filePath).deletingLastPathComponent()
        .deletingLastPathComponent().appending(path: "Fixtures/documents")

    static func bytes(_ name: String) throws -> [UInt8] {
        Array(try Data(contentsOf: directory.appending(path: name)))
    }
}

@Suite struct LayoutTests {
    @Test(arguments: LayoutCase.all)
    func linesAndPagesBreakWhereReportLabBreaksThem(_ layout: LayoutCase) throws {
        if layout.settings.fontPath.contains("NotoSansCJK"), (try? FontFile.locate(layout.settings.fontPath)) == nil {
            try Test.cancel("NotoSansCJK-Regular.ttc is not installed (Debian package fonts-noto-cjk)")
        }
        let document = try TextDocument(text: layout.text, settings: layout.settings)
        #expect(document.pageCount == layout.pages)
        var hash: UInt64 = 0xCBF2_9CE4_8422_2325
        func add(_ bytes: some Sequence<UInt8>) {
            for byte in bytes { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01B3 }
        }
        for page in 0..<document.pageCount {
            let lines = document.lines(ofPage: page).filter { !Self.trimmed($0.text).isEmpty }
            let expected = page < layout.firstLines.count ? layout.firstLines[page] : []
            try #require(lines.prefix(1).map { Self.trimmed($0.text) } == expected, "page \(page + 1) begins")
            if let full = layout.lines?[page] {
                for (line, entry) in zip(lines, full) {
                    guard case .text(let text) = entry[0], case .number(let baseline) = entry[1] else { continue }
                    try #require(Self.trimmed(line.text) == Self.trimmed(text), "page \(page + 1)")
                    try #require(abs(line.baseline - baseline) < 0.002, "page \(page + 1): \(text)")
                }
                try #require(lines.count == full.count, "page \(page + 1)")
            }
            for line in lines {
                let thousandths = Int((line.baseline * 1000).rounded())
                add("\(Self.trimmed(line.text))\t\(thousandths)\n".utf8)
            }
            add(CollectionOfOne(0x0C))
        }
        let hexadecimal = String(hash, radix: 16)
        #expect(String(repeating: "0", count: 16 - hexadecimal.count) + hexadecimal == layout.digest)
    }

    private static func trimmed(_ text: String) -> String {
        String(text.reversed().drop { $0 == " " }.reversed())
    }
}
