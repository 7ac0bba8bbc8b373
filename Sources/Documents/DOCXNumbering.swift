//! Numbers and bullets of the lists in a DOCX, which its text does not have.

/// The lists that `numbering.xml` declares, and how far each has counted.
struct DOCXNumbering {
    private struct Level {
        var start = 1
        var format = "decimal"
        /// `%1.%2.` and the like.
        var pattern = "%1."
        var style: String?
        var isLegal = false
        var restarts = true
    }

    private struct List {
        var levels: [Int: Level] = [:]
        /// A style that has the levels.
        var link: String?
    }

    private struct Use {
        var list = ""
        /// Levels that begin anew with this use.
        var starts: [Int: Int] = [:]
    }

    private var lists: [String: List] = [:]
    private var uses: [String: Use] = [:]
    /// The number of each level that was given last, by list.
    private var counts: [String: [Int: Int]] = [:]
    private var begun: Set<String> = []

    init() {}

    /// Reads `numbering.xml`.
    init(_ reader: XMLReader) throws(DocumentError) {
        while let event = try reader.next() {
            if event == .start("abstractNum"), let id = reader.attribute("abstractNumId") {
                lists[id] = try Self.list(reader)
            } else if event == .start("num"), let id = reader.attribute("numId") {
                uses[id] = try Self.use(reader)
            }
        }
    }

    private static func list(_ reader: XMLReader) throws(DocumentError) -> List {
        var list = List()
        let outside = reader.depth - 1
        while let event = try reader.next(), reader.depth > outside {
            if event == .start("lvl"), let number = reader.attribute("ilvl").flatMap({ Int($0) }) {
                let level = try level(reader)
                if (0..<9).contains(number) { list.levels[number] = level }
            } else if event == .start("numStyleLink") {
                list.link = reader.attribute("val")
            }
        }
        return list
    }

    private static func level(_ reader: XMLReader) throws(DocumentError) -> Level {
        var level = Level()
        let outside = reader.depth - 1
        while let event = try reader.next(), reader.depth > outside {
            guard case .start(let local) = event else { continue }
            let value = reader.attribute("val")
            switch local {
            case "start": level.start = value.flatMap { Int($0) } ?? 1
            // Where there is a choice, the first is for newer programs; the names below are in both.
            case "numFmt": level.format = value ?? level.format
            case "lvlText": level.pattern = String((value ?? "").prefix(32))
            case "pStyle": level.style = value
            case "isLgl": level.isLegal = value != "0" && value != "false"
            case "lvlRestart": level.restarts = value != "0"
            default: break
            }
        }
        return level
    }

    private static func use(_ reader: XMLReader) throws(DocumentError) -> Use {
        var use = Use()
        var number: Int?
        let outside = reader.depth - 1
        while let event = try reader.next(), reader.depth > outside {
            guard case .start(let local) = event else { continue }
            switch local {
            case "abstractNumId": use.list = reader.attribute("val") ?? ""
            case "lvlOverride": number = reader.attribute("ilvl").flatMap { Int($0) }
            case "startOverride":
                if let number { use.starts[number] = reader.attribute("val").flatMap { Int($0) } }
            // A use may say a level anew; its start and pattern are seldom others, and are not looked at.
            case "lvl": try reader.skip()
            default: break
            }
        }
        return use
    }

    /// The mark of the next paragraph of a list, and its level; nil where the id is of no list.
    /// - Parameter style: the paragraph's, which may be bound to a level.
    mutating func next(
        _ id: String, level stated: Int?, style: String?, _ styles: DOCXStyles
    ) -> (mark: String, level: Int)? {
        guard let use = uses[id] else { return nil }
        var name = use.list
        if let link = lists[name]?.link, let linked = styles.resolved(link).paragraph.numberingID,
            let other = uses[linked]
        {
            name = other.list
        }
        guard let list = lists[name] else { return nil }
        let bound = style.flatMap { style in list.levels.first { $0.value.style == style }?.key }
        let number = stated ?? bound ?? 0
        guard let level = list.levels[number] else { return nil }
        if begun.insert(id).inserted {
            for (number, start) in use.starts { counts[name, default: [:]][number] = start &- 1 }
        }
        var counted = counts[name, default: [:]]
        counted[number] = (counted[number] ?? level.start &- 1) &+ 1
        for deeper in (number + 1)..<10 where list.levels[deeper]?.restarts ?? true { counted[deeper] = nil }
        // A level that was passed over counts as begun.
        for higher in 0..<number where counted[higher] == nil {
            counted[higher] = list.levels[higher]?.start ?? 1
        }
        counts[name] = counted
        return (Self.mark(level, list, counted), number)
    }

    private static func mark(_ level: Level, _ list: List, _ counted: [Int: Int]) -> String {
        if level.format == "bullet" { return "\u{2022}" }
        if level.format == "none" { return "" }
        var mark = ""
        var isPlace = false
        for character in level.pattern {
            if isPlace, let digit = character.wholeNumberValue, (1...9).contains(digit) {
                let format = level.isLegal ? "decimal" : list.levels[digit - 1]?.format ?? "decimal"
                mark += spelled(counted[digit - 1] ?? 1, format)
                isPlace = false
            } else if character == "%" && !isPlace {
                isPlace = true
            } else {
                mark += (isPlace ? "%" : "") + String(character)
                isPlace = false
            }
        }
        return mark
    }

    /// A number as its format writes it; formats that are not known, and numbers they do not reach, in
    /// digits.
    static func spelled(_ number: Int, _ format: String) -> String {
        switch format {
        case "decimalZero" where (0..<10).contains(number): return "0\(number)"
        case "lowerLetter" where (1...780).contains(number), "upperLetter" where (1...780).contains(number):
            let letter = String(UnicodeScalar(UInt8(ascii: "a") + UInt8((number - 1) % 26)))
            let letters = String(repeating: letter, count: (number - 1) / 26 + 1)
            return format == "lowerLetter" ? letters : letters.uppercased()
        case "lowerRoman" where (1..<4000).contains(number), "upperRoman" where (1..<4000).contains(number):
            let roman = Self.roman(number)
            return format == "lowerRoman" ? roman.lowercased() : roman
        default: return String(number)
        }
    }

    private static func roman(_ number: Int) -> String {
        let values = [
            (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"),
            (10, "X"), (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
        ]
        var (left, text) = (number, "")
        for (value, letters) in values {
            while left >= value {
                text += letters
                left -= value
            }
        }
        return text
    }
}
