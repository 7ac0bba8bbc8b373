//! Page settings in, pages out: the files beside documents and models.

internal import Documents
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
