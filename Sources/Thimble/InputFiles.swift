//! Page settings in, pages out: the files beside documents and models.

public import Documents
internal import Foundation
internal import Models

/// Reads page settings, as Glyph's JSON has them.
public func loadPageSettings(path: String) throws(ThimbleError) -> PageSettings {
    try readPageSettings(path).settings
}

/// Page settings, and the JSON that said them.
func readPageSettings(_ path: String) throws(ThimbleError) -> (settings: PageSettings, json: [UInt8]) {
    let json = try readFile(path, limit: DocumentLimits.maxSettingsBytes)
    do { return (try PageSettings(json: json), json) } catch {
        throw ThimbleError(.corrupt, "\(path): \(error)")
    }
}

extension PageSettings {
    /// These settings with the keys of a JSON object, such as a budget's `[pages]`, in place of theirs.
    ///
    /// Throws `invalidArgument` for unknown keys and values out of range.
    public func overlaid(json: String) throws(ThimbleError) -> PageSettings {
        do {
            let own = try JSONSerialization.jsonObject(with: JSONEncoder().encode(self))
            let other = try JSONSerialization.jsonObject(with: Data(json.utf8))
            let merged = (own as? [String: Any] ?? [:]).merging(other as? [String: Any] ?? [:]) { $1 }
            return try PageSettings(json: [UInt8](JSONSerialization.data(withJSONObject: merged)))
        } catch {
            throw ThimbleError(.invalidArgument, "[pages] of the budget: \(error)")
        }
    }
}

/// The bytes of a PNG file of a page.
public func encodePNG(_ image: RGBImage) throws(ThimbleError) -> [UInt8] {
    do { return try image.encodedPNG() } catch { throw ThimbleError(error) }
}

extension Engine {
    /// How many tokens an image takes in a prompt.
    public func imageTokenCount(of image: RGBImage) throws(ThimbleError) -> Int {
        try visualGrid(of: image).count
    }
}
