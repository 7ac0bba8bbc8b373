//! The regular expressions that cut text into words, recognised by their exact spelling.

/// A split pattern that this module scans by hand.
///
/// A tokenizer.json spells its pattern as a regular expression. A general engine would be a large dependency,
/// and slow, for what are in practice three expressions; so they are recognised as strings and each has a
/// scanner whose splits equal those of the `tokenizers` package (regular expressions by Oniguruma).
enum SplitPattern: UInt8, CaseIterable {
    /// GPT-2's: contractions in lower case only, runs of letters, numbers and other characters after one
    /// space.
    case gpt2 = 1
    /// Qwen2's: each number character is a word.
    case singleNumbers = 2
    /// GPT-4's, Llama 3's and GLM-4's: numbers in groups of up to three characters.
    case tripleNumbers = 3

    /// The regular expression, as tokenizer.json spells it.
    var expression: String {
        switch self {
        case .gpt2: #"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+"#
        case .singleNumbers: Self.caseless(number: #"\p{N}"#)
        case .tripleNumbers: Self.caseless(number: #"\p{N}{1,3}"#)
        }
    }

    /// The pattern spelled `expression`, or nil where none is.
    init?(expression: String) {
        // Bytes are compared, for `==` on strings would also accept canonically equivalent spellings.
        let match = Self.allCases.first { $0.expression.utf8.elementsEqual(expression.utf8) }
        guard let match else { return nil }
        self = match
    }

    private static func caseless(number: String) -> String {
        #"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"# + number
            + #"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"#
    }
}
