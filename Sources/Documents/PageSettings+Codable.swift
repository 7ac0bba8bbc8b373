//! The settings' JSON form, key for key that of Glyph's configuration files.

package import JSON

extension PageSettings: Codable {
    /// The keys as they are spelt in the JSON.
    enum Key: String, CodingKey, CaseIterable {
        case pageSize = "page-size"
        case dpi
        case marginX = "margin-x"
        case marginY = "margin-y"
        case fontPath = "font-path"
        case fontIndex = "font-index"
        case fontFallback = "font-fallback"
        case fontSize = "font-size"
        case lineHeight = "line-height"
        case fontColour = "font-color"
        case alignment
        case horizontalScale = "horizontal-scale"
        case firstLineIndent = "first-line-indent"
        case leftIndent = "left-indent"
        case rightIndent = "right-indent"
        case spaceAfter = "space-after"
        case spaceBefore = "space-before"
        case borderWidth = "border-width"
        case borderPadding = "border-padding"
        case pageBackground = "page-bg-color"
        case paragraphBackground = "para-bg-color"
        case paragraphBorder = "para-border-color"
        case autoCropWidth = "auto-crop-width"
        case autoCropLastPage = "auto-crop-last-page"
        case newlineMarkup = "newline-markup"
        case glyphPlacement = "glyph-placement"
    }

    /// Any key, so that unknown ones can be named.
    private struct AnyKey: CodingKey {
        let stringValue: String
        let intValue: Int? = nil
        init?(stringValue: String) { self.stringValue = stringValue }
        init?(intValue: Int) { nil }
    }

    /// Settings from a JSON configuration, checked.
    /// - Throws: `settings` for unknown keys, wrong types and values out of range, naming the key.
    public init(json: [UInt8]) throws(DocumentError) {
        guard json.count <= DocumentLimits.maxSettingsBytes else {
            throw DocumentError(
                .settings,
                "page settings: \(json.count) bytes; the limit is \(DocumentLimits.maxSettingsBytes)")
        }
        let value: JSONValue
        do { value = try JSONValue(parsing: json) } catch {
            throw DocumentError(.settings, "page settings: \(error)")
        }
        try self.init(value)
    }

    /// Settings from a JSON configuration that is parsed, checked.
    /// - Throws: `settings`, as for a text.
    package init(_ value: JSONValue) throws(DocumentError) {
        do {
            self = try value.decoded()
        } catch let error as DocumentError {
            throw error
        } catch let error as DecodingError {
            throw DocumentError(.settings, "page settings: \(Self.describe(error))")
        } catch {
            throw DocumentError(.settings, "page settings: \(error)")
        }
    }

    /// Reads the keys that are present, defaults for the rest (`line-height` then follows `font-size` by one
    /// point), and checks the whole.
    public init(from decoder: any Decoder) throws {
        self.init()
        for key in try decoder.container(keyedBy: AnyKey.self).allKeys
        where Key(rawValue: key.stringValue) == nil {
            let known = Key.allCases.map(\.rawValue).joined(separator: ", ")
            throw DocumentError(
                .settings, "page settings: unknown key \"\(key.stringValue)\"; the keys are \(known)")
        }
        let values = try decoder.container(keyedBy: Key.self)
        func read<Value: Decodable>(_ key: Key, into value: inout Value) throws {
            if let found = try values.decodeIfPresent(Value.self, forKey: key) { value = found }
        }
        if let text = try values.decodeIfPresent(String.self, forKey: .pageSize) {
            pageSize = try Self.parsePageSize(text)
        }
        try read(.dpi, into: &dpi)
        try read(.marginX, into: &marginX)
        try read(.marginY, into: &marginY)
        try read(.fontPath, into: &fontPath)
        try read(.fontIndex, into: &fontIndex)
        try read(.fontFallback, into: &fontFallback)
        try read(.fontSize, into: &fontSize)
        lineHeight = fontSize + 1
        try read(.lineHeight, into: &lineHeight)
        try read(.alignment, into: &alignment)
        try read(.horizontalScale, into: &horizontalScale)
        try read(.firstLineIndent, into: &firstLineIndent)
        try read(.leftIndent, into: &leftIndent)
        try read(.rightIndent, into: &rightIndent)
        try read(.spaceAfter, into: &spaceAfter)
        try read(.spaceBefore, into: &spaceBefore)
        try read(.borderWidth, into: &borderWidth)
        try read(.borderPadding, into: &borderPadding)
        try read(.autoCropWidth, into: &autoCropWidth)
        try read(.autoCropLastPage, into: &autoCropLastPage)
        try read(.newlineMarkup, into: &newlineMarkup)
        try read(.glyphPlacement, into: &glyphPlacement)
        let colours: [(Key, WritableKeyPath<PageSettings, Colour>)] = [
            (.fontColour, \.fontColour), (.pageBackground, \.pageBackground),
            (.paragraphBackground, \.paragraphBackground), (.paragraphBorder, \.paragraphBorder),
        ]
        for (key, path) in colours {
            guard let text = try values.decodeIfPresent(String.self, forKey: key) else { continue }
            guard let colour = Colour(hexadecimal: text) else {
                throw DocumentError(.settings, "\(key.rawValue) is \"\(text)\"; it must be like \"#RRGGBB\"")
            }
            self[keyPath: path] = colour
        }
        try validate()
    }

    /// Writes every key.
    public func encode(to encoder: any Encoder) throws {
        var values = encoder.container(keyedBy: Key.self)
        try values.encode("\(Self.number(pageWidth)),\(Self.number(pageHeight))", forKey: .pageSize)
        try values.encode(dpi, forKey: .dpi)
        try values.encode(marginX, forKey: .marginX)
        try values.encode(marginY, forKey: .marginY)
        try values.encode(fontPath, forKey: .fontPath)
        try values.encode(fontIndex, forKey: .fontIndex)
        try values.encode(fontFallback, forKey: .fontFallback)
        try values.encode(fontSize, forKey: .fontSize)
        try values.encode(lineHeight, forKey: .lineHeight)
        try values.encode(fontColour.hexadecimal, forKey: .fontColour)
        try values.encode(alignment, forKey: .alignment)
        try values.encode(horizontalScale, forKey: .horizontalScale)
        try values.encode(firstLineIndent, forKey: .firstLineIndent)
        try values.encode(leftIndent, forKey: .leftIndent)
        try values.encode(rightIndent, forKey: .rightIndent)
        try values.encode(spaceAfter, forKey: .spaceAfter)
        try values.encode(spaceBefore, forKey: .spaceBefore)
        try values.encode(borderWidth, forKey: .borderWidth)
        try values.encode(borderPadding, forKey: .borderPadding)
        try values.encode(pageBackground.hexadecimal, forKey: .pageBackground)
        try values.encode(paragraphBackground.hexadecimal, forKey: .paragraphBackground)
        try values.encode(paragraphBorder.hexadecimal, forKey: .paragraphBorder)
        try values.encode(autoCropWidth, forKey: .autoCropWidth)
        try values.encode(autoCropLastPage, forKey: .autoCropLastPage)
        try values.encode(newlineMarkup, forKey: .newlineMarkup)
        try values.encode(glyphPlacement, forKey: .glyphPlacement)
    }

    private static func parsePageSize(_ text: String) throws -> (width: Double, height: Double) {
        let parts = text.split(separator: ",", omittingEmptySubsequences: false)
            .map { Double($0.filter { $0 != " " }) }
        guard parts.count == 2, let width = parts[0], let height = parts[1] else {
            throw DocumentError(.settings, "page-size is \"\(text)\"; it must be like \"595,842\"")
        }
        return (width, height)
    }

    /// A number without a needless fraction, as the configuration files write sizes.
    private static func number(_ value: Double) -> String {
        value.rounded() == value && abs(value) < 1e9 ? String(Int(value)) : String(value)
    }

    private static func describe(_ error: DecodingError) -> String {
        switch error {
        case .typeMismatch(let type, let context), .valueNotFound(let type, let context):
            "\"\(context.codingPath.map(\.stringValue).joined(separator: "."))\" is not a \(type)"
        case .keyNotFound(let key, _):
            "\"\(key.stringValue)\" is missing"
        case .dataCorrupted(let context):
            context.codingPath.isEmpty
                ? "not valid JSON"
                : "\"\(context.codingPath.map(\.stringValue).joined(separator: "."))\": "
                    + context.debugDescription
        @unknown default:
            "\(error)"
        }
    }
}
