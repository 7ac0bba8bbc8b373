//! Finished pages against poppler's pixels and PIL's, made by Tests/Fixtures/documents/make_pages.py.

import Foundation
import Testing

@testable import Documents

/// One page that the reference drew.
struct PageCase: Decodable, Sendable, CustomTestStringConvertible {
    let name: String
    let settings: PageSettings
    let text: String
    /// From one.
    let page: Int

    var testDescription: String { name }

    static func all(_ file: String) -> [PageCase] {
        let data = try! Data(contentsOf: Fixtures.directory.appending(path: file))
        return try! JSONDecoder().decode([PageCase].self, from: data)
    }
}

@Suite struct PagePixelTests {
    @Test(arguments: PageCase.all("pages.json"))
    func pagesLookAsPopplerDrawsThem(_ reference: PageCase) throws {
        let expected = try RGBImage(decoding: Fixtures.bytes("page_\(reference.name).png"))
        let document = try TextDocument(text: reference.text, settings: reference.settings)
        let page = try document.page(reference.page - 1)
        #expect([page.width, page.height] == [expected.width, expected.height])
        let difference = Self.meanDifference(page, expected)
        #expect(difference < 0.001, "mean absolute difference \(difference) of 255 on rows with ink")
    }

    @Test(arguments: PageCase.all("pixel.json"))
    func pixelPlacementIsThatOfPIL(_ reference: PageCase) throws {
        let expected = try RGBImage(decoding: Fixtures.bytes("pixel_\(reference.name).png"))
        let page = try TextDocument(text: reference.text, settings: reference.settings).page(0)
        #expect([page.width, page.height] == [expected.width, expected.height])
        #expect(Self.meanDifference(page, expected) == 0)
    }

    /// The mean absolute difference over the rows in which the expected page has ink.
    static func meanDifference(_ page: RGBImage, _ expected: RGBImage) -> Double {
        let width = min(page.width, expected.width)
        var sum = 0
        var count = 0
        for row in 0..<min(page.height, expected.height) {
            let a = page.pixels[(row * page.width * 3)...].prefix(width * 3)
            let b = expected.pixels[(row * expected.width * 3)...].prefix(width * 3)
            guard b.contains(where: { $0 < 128 }) else { continue }
            for (x, y) in zip(a, b) { sum += abs(Int(x) - Int(y)) }
            count += width * 3
        }
        return count == 0 ? .infinity : Double(sum) / Double(count)
    }
}
