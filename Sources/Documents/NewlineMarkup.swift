//! What stands between the source lines of a paragraph: a line break, or visible text in a colour.

/// Parsed `newline-markup`: the small part of ReportLab's paragraph markup that means something here.
struct NewlineMarkup: Equatable {
    enum Item: Equatable {
        /// One character of running text.
        case scalar(UInt32)
        /// One character written as an entity; ReportLab keeps it as a fragment of its own.
        case entity(UInt32)
        case lineBreak
        /// Text from here on is drawn in this colour.
        case colour(Colour)
        /// Text from here on is drawn in the document's colour.
        case endColour
    }

    let items: [Item]

    init(parsing markup: String) throws(DocumentError) {
        var items: [Item] = []
        var rest = Substring(markup)
        var inFont = false
        let limit = DocumentLimits.maxNewlineMarkupBytes
        guard markup.utf8.count <= limit else {
            throw DocumentError(
                .settings, "newline-markup has \(markup.utf8.count) bytes; the limit is \(limit)")
        }
        while let first = rest.unicodeScalars.first {
            if first == "<" {
                guard let end = rest.firstIndex(of: ">") else { throw Self.unknown(String(rest)) }
                let tag = String(rest[...end])
                rest = rest[rest.index(after: end)...]
                if ["<br/>", "<br />", "<br>"].contains(tag) {
                    items.append(.lineBreak)
                } else if tag == "</font>", inFont {
                    items.append(.endColour)
                    inFont = false
                } else if !inFont, let colour = Self.fontColour(tag) {
                    items.append(.colour(colour))
                    inFont = true
                } else {
                    throw Self.unknown(tag)
                }
            } else if first == "&" {
                guard let end = rest.firstIndex(of: ";"), let scalar = Self.entities[String(rest[...end])]
                else {
                    throw Self.unknown(String(rest.prefix(8)))
                }
                items.append(.entity(scalar))
                rest = rest[rest.index(after: end)...]
            } else {
                items.append(.scalar(first.value))
                rest = Substring(rest.unicodeScalars.dropFirst())
            }
        }
        guard !inFont else { throw Self.unknown("<font> without </font>") }
        self.items = items
    }

    private static let entities: [String: UInt32] = [
        "&amp;": 0x26, "&lt;": 0x3C, "&gt;": 0x3E, "&nbsp;": 0xA0,
    ]

    private static func fontColour(_ tag: String) -> Colour? {
        for quote in ["\"", "'"] {
            let opening = "<font color=\(quote)"
            if tag.hasPrefix(opening), tag.hasSuffix("\(quote)>") {
                return Colour(hexadecimal: String(tag.dropFirst(opening.count).dropLast(2)))
            }
        }
        return nil
    }

    private static func unknown(_ part: String) -> DocumentError {
        DocumentError(
            .settings,
            "newline-markup: \"\(part)\" is not understood; it may hold <br/>, "
                + "<font color=\"#RRGGBB\">text</font>, plain text and the entities &amp; &lt; &gt; &nbsp;")
    }
}
