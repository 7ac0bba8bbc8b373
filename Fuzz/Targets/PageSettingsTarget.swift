//! Fuzzes page settings.

@testable import Documents
import FoundationEssentials

/// Input: the JSON.
struct PageSettingsTarget: FuzzTarget {
    private let encoder = JSONEncoder()

    func run(_ input: [UInt8]) -> Bool {
        guard let settings = try? PageSettings(json: input) else { return false }
        expect((try? settings.validate()) != nil, "accepted settings are not valid")
        let pixels = settings.pagePixels
        expect(
            pixels.width > 0 && pixels.height > 0
                && pixels.width * pixels.height <= DocumentLimits.maxPagePixels,
            "a page has \(pixels) pixels")
        guard let json = try? encoder.encode(settings), let again = try? PageSettings(json: Array(json))
        else { fatalError("accepted settings cannot be written and read") }
        expect(again == settings, "settings change when they are written and read")
        return true
    }
}
