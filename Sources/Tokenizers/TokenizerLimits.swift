//! Every limit on tokenizers and chat templates, in one place.

/// What a tokenizer's file may ask for, checked before memory is taken for it.
package enum TokenizerLimits {
    /// The most bytes of a tokenizer.json; the largest published ones have about 35 MB.
    package static let maxJSONBytes = 1 << 26
    /// More ids than any published vocabulary has, few enough that a hostile file cannot exhaust memory.
    static let maxTokens = 1 << 22
    /// The longest token, in bytes: lengths are stored in 16 bits.
    static let maxTokenBytes = Int(UInt16.max)
    /// The most bytes that all tokens take together.
    static let maxVocabularyBytes = Int(Int32.max)
    /// Merges beyond this number are refused; the largest published tokenizers have about a million.
    static let maxMerges = 1 << 23
    /// Longer words are cut into pieces of this size, so that positions fit 32 bits.
    static let maxWordBytes = 1 << 30
    /// The most bytes of a Jinja chat template; a longer one is not recognised.
    package static let maxTemplateBytes = 1 << 20
    /// The most bytes of tokenizer_config.json or chat_template.json, which hold a chat template.
    package static let maxConfigurationBytes = 1 << 26
    /// The most characters of a name from a file that a message quotes.
    static let maxQuotedCharacters = 500
}
