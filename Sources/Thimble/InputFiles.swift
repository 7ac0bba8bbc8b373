//! Page settings in, pages out: the files beside documents and models.

public import Documents
internal import JSON
public import Memory
public import ModelFile
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

extension ModelDescription {
    /// Whether the model was trained on pages that text was set on: its file says how these are set.
    public var prefersGlyph: Bool { pageSettings != nil }
}

extension PageSettings {
    /// What counts of page settings: the file's, where one is given, else these; over them what a budget
    /// says; and the font, where one is given.
    public func settled(
        file: String?, _ budget: Budget, font: String?
    ) throws(ThimbleError) -> PageSettings {
        var settings = self
        if let file { settings = try loadPageSettings(path: file) }
        if let json = budget.pageSettingsJSON { settings = try settings.overlaid(json: json) }
        if let font { settings.fontPath = font }
        return settings
    }

    /// These settings with the keys of a JSON object, such as a budget's `[pages]`, in place of theirs.
    ///
    /// Throws `invalidArgument` for unknown keys and values out of range.
    public func overlaid(json: String) throws(ThimbleError) -> PageSettings {
        do {
            let own = try JSONValue(parsing: Array(JSONText().text(of: self).utf8))
            let other = try JSONValue(parsing: Array(json.utf8))
            // What is no object is refused with whatever is said of it.
            guard case .object(let kept) = own, case .object(let stated) = other else {
                return try PageSettings(other)
            }
            return try PageSettings(.object(kept.merging(stated) { $1 }))
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
