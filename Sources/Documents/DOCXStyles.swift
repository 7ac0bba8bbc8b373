//! What the styles of a DOCX say of paragraphs and runs, as far as text goes.

/// What a style, a paragraph or a run says of its text; nil where it says nothing.
struct DOCXProperties {
    var isHidden: Bool?
    /// Whether it is written in white.
    var isWhite: Bool?
    /// Half-points.
    var size: Int?
    /// Whether a colour lies behind it.
    var isShaded: Bool?
    var outlineLevel: Int?
    var numberingID: String?
    var numberingLevel: Int?
    var style: String?

    /// These properties over those of a style.
    func over(_ base: DOCXProperties) -> DOCXProperties {
        var result = base
        result.isHidden = isHidden ?? base.isHidden
        result.isWhite = isWhite ?? base.isWhite
        result.size = size ?? base.size
        result.isShaded = isShaded ?? base.isShaded
        result.outlineLevel = outlineLevel ?? base.outlineLevel
        result.numberingID = numberingID ?? base.numberingID
        result.numberingLevel = numberingLevel ?? base.numberingLevel
        result.style = style ?? base.style
        return result
    }

    /// Takes in the element that just began, one of `pPr` or `rPr`.
    mutating func read(_ local: String, _ reader: XMLReader) {
        switch local {
        case "vanish": isHidden = Self.isOn(reader)
        case "color": isWhite = reader.attribute("val")?.uppercased() == "FFFFFF"
        case "sz": size = reader.attribute("val").flatMap { Int($0) }
        case "shd":
            let fill = reader.attribute("fill")?.uppercased() ?? "AUTO"
            isShaded = fill != "AUTO" && fill != "FFFFFF" || reader.attribute("themeFill") != nil
        case "highlight": isShaded = reader.attribute("val") != "none"
        case "outlineLvl": outlineLevel = reader.attribute("val").flatMap { Int($0) }
        case "numId": numberingID = reader.attribute("val")
        case "ilvl": numberingLevel = reader.attribute("val").flatMap { Int($0) }
        case "pStyle", "rStyle": style = reader.attribute("val")
        default: break
        }
    }

    /// A switch is on unless its value says no.
    private static func isOn(_ reader: XMLReader) -> Bool {
        !["0", "false", "off"].contains(reader.attribute("val") ?? "1")
    }

    /// Reads `pPr` or `rPr`, which just began, to its end. The `rPr` within a `pPr` is of the paragraph's
    /// mark.
    static func read(from reader: XMLReader) throws(DocumentError) -> DOCXProperties {
        var properties = DOCXProperties()
        let outside = reader.depth - 1
        while let event = try reader.next(), reader.depth > outside {
            guard case .start(let local) = event else { continue }
            switch local {
            case "rPr", "sectPr", "pPrChange", "rPrChange", "numberingChange": try reader.skip()
            default: properties.read(local, reader)
            }
        }
        return properties
    }
}

/// The styles by their ids, each with what it is based on.
struct DOCXStyles {
    private struct Style {
        var base: String?
        var isHeading = false
        var paragraph = DOCXProperties()
        var run = DOCXProperties()
    }

    private var styles: [String: Style] = [:]
    private var defaultStyle: String?

    init() {}

    /// Reads `styles.xml`.
    init(_ reader: XMLReader) throws(DocumentError) {
        while let event = try reader.next() {
            guard event == .start("style"), let id = reader.attribute("styleId") else { continue }
            if reader.attribute("type") == "paragraph", reader.attribute("default") == "1" {
                defaultStyle = id
            }
            var style = Style()
            let outside = reader.depth - 1
            while let event = try reader.next(), reader.depth > outside {
                guard case .start(let local) = event else { continue }
                switch local {
                case "name":
                    let name = reader.attribute("val")?.lowercased() ?? ""
                    style.isHeading = name.hasPrefix("heading ") || ["title", "subtitle"].contains(name)
                case "basedOn": style.base = reader.attribute("val")
                case "pPr": style.paragraph = try DOCXProperties.read(from: reader)
                case "rPr": style.run = try DOCXProperties.read(from: reader)
                case "tblStylePr": try reader.skip()
                default: break
                }
            }
            styles[id] = style
        }
    }

    /// What a style says, with all that it is based on; nil is the default style of paragraphs.
    func resolved(_ id: String?) -> (paragraph: DOCXProperties, run: DOCXProperties, isHeading: Bool) {
        var (paragraph, run, isHeading) = (DOCXProperties(), DOCXProperties(), false)
        var next = id ?? defaultStyle
        // A chain may be a circle.
        for step in 0..<16 {
            guard let id = next, let style = styles[id] else { break }
            paragraph = paragraph.over(style.paragraph)
            run = run.over(style.run)
            if step == 0 || style.isHeading { isHeading = isHeading || style.isHeading }
            next = style.base
        }
        return (paragraph, run, isHeading)
    }
}
