//! How the keys of a type are spelled in JSON.

/// How the keys of a type are spelled in JSON.
package enum JSONKeys: Sendable {
    /// As the type spells them.
    case unchanged
    /// `isVerified` as `is_verified`.
    case snakeCase

    func spelling(of key: any CodingKey) -> String {
        switch self {
        case .unchanged: key.stringValue
        case .snakeCase: Self.snakeCased(key.stringValue)
        }
    }

    /// The words of a name in lower case, `_` between them. A word begins with a capital letter; letters of
    /// an abbreviation are one word: `hasQKVBias` is `has_qkv_bias`.
    private static func snakeCased(_ name: String) -> String {
        let letters = Array(name)
        var words = ""
        for (index, letter) in letters.enumerated() {
            if letter.isUppercase, index > 0, letters[index - 1] != "_" {
                let endsAbbreviation = index + 1 < letters.count && letters[index + 1].isLowercase
                if !letters[index - 1].isUppercase || endsAbbreviation { words += "_" }
            }
            words += letter.lowercased()
        }
        return words
    }
}

/// The place of an element in an array.
struct JSONIndex: CodingKey {
    let index: Int
    var stringValue: String { "Index \(index)" }
    var intValue: Int? { index }

    init(_ index: Int) { self.index = index }
    init?(stringValue: String) { nil }
    init?(intValue: Int) { index = intValue }
}

/// A key of a member that no type spells.
struct JSONKey: CodingKey {
    let stringValue: String
    var intValue: Int? { nil }

    init(_ name: String) { stringValue = name }
    init?(stringValue: String) { self.stringValue = stringValue }
    init?(intValue: Int) { nil }

    /// Where a class's parent is, unless it says otherwise.
    static let parent = JSONKey("super")
}
