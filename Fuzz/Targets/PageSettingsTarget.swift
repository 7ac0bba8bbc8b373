//! Fuzzes page settings.

@testable import Documents
import JSON

/// Input: the JSON.
struct PageSettingsTarget: FuzzTarget {
    func run(_ input: [UInt8]) -> Bool {
        guard let settings = try? PageSettings(json: input) else { return false }
        expect((try? settings.validate()) != nil, "accepted settings are not valid")
        let pixels = settings.pagePixels
        expect(
            pixels.width > 0 && pixels.height > 0
                && pixels.width * pixels.height <= DocumentLimits.maxPagePixels,
            "a page has \(pixels) pixels")
        guard let json = try? JSONText().text(of: settings),
            let again = try? PageSettings(json: Array(json.utf8))
        else { fatalError("accepted settings cannot be written and read") }
        expect(again == settings, "settings change when they are written and read")
        return true
    }
}
