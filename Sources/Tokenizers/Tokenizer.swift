//! A byte-level byte-pair tokenizer: its vocabulary, and what every other part may rely on.

/// A byte-level byte-pair tokenizer (Sennrich et al., arXiv:1508.07909; bytes as in GPT-2).
///
/// Ids are `Int32`, for that is what embedding look-ups take. A token is *ordinary* (merging can yield it) or
/// *added* (it stands for itself, like `<|user|>`). Text never yields an added token, however it is spelled:
/// added tokens are named by the program alone, so that a user's text cannot forge the structure of a prompt.
///
/// Invariants: each of the 256 bytes is an ordinary token, ordinary tokens differ in their bytes, and every
/// merge joins two ordinary tokens into a third. An id between others may stand for no token; its bytes are
/// empty.
public struct Tokenizer: Sendable {
    /// How text is cut into words.
    let pattern: SplitPattern
    /// Whether a word that is a token as a whole is taken as that token without merging.
    let ignoresMerges: Bool
    let vocabulary: Vocabulary
    /// Tokens that stand for themselves, in rising order of ids.
    let addedTokens: [AddedToken]
    let merges: MergeTable
    /// The token of each byte.
    let byteTokens: [Int32]
    /// The ordinary token of a sequence of bytes; kept only where `ignoresMerges`.
    let wholeWords: TokenIndex?
    /// The id of each added token's spelling.
    private let addedIDs: [[UInt8]: Int32]
    private let specialIDs: Set<Int32>

    /// The number of ids: one more than the highest.
    public var count: Int { vocabulary.count }

    /// The bytes that a token stands for: any bytes for an ordinary token, its spelling for an added one,
    /// none for an id that stands for no token (embeddings are often padded beyond the vocabulary).
    public func bytes(of id: Int32) -> ArraySlice<UInt8> {
        guard id >= 0, id < vocabulary.count else { return [] }
        return vocabulary[id]
    }

    /// The id of the added token spelled `name`, such as `<|user|>`, or nil where there is none.
    ///
    /// This finds every added token, also those that tokenizer.json does not mark as special.
    public func id(ofSpecial name: String) -> Int32? {
        addedIDs[Array(name.utf8)]
    }

    /// Whether `id` is an added token that is marked as special: one that readers of the text should not see.
    public func isSpecial(_ id: Int32) -> Bool {
        specialIDs.contains(id)
    }

    /// Builds the tables from what a file says, and checks every invariant.
    init(_ content: TokenizerContent) throws(TokenizerError) {
        pattern = content.pattern
        ignoresMerges = content.ignoresMerges
        vocabulary = content.vocabulary
        addedTokens = content.addedTokens.sorted { $0.id < $1.id }
        addedIDs = try Self.indexed(addedTokens, vocabulary)
        specialIDs = Set(addedTokens.lazy.filter(\.isSpecial).map(\.id))
        let index = try TokenIndex(vocabulary, excluding: addedTokens)
        byteTokens = try Self.byteTokens(index, vocabulary)
        merges = try MergeTable(content.merges, vocabulary, index)
        wholeWords = ignoresMerges ? index : nil
    }

    private static func indexed(
        _ tokens: [AddedToken], _ vocabulary: Vocabulary
    ) throws(TokenizerError) -> [[UInt8]: Int32] {
        var ids: [[UInt8]: Int32] = [:]
        var previous: Int32 = -1
        for token in tokens {
            guard token.id >= 0, token.id < vocabulary.count else {
                throw TokenizerError("An added token has id \(token.id), outside 0..<\(vocabulary.count).")
            }
            guard token.id != previous else {
                throw TokenizerError("Id \(token.id) is added twice.")
            }
            previous = token.id
            let spelling = Array(vocabulary[token.id])
            guard !spelling.isEmpty else {
                throw TokenizerError("The added token \(token.id) has no spelling.")
            }
            guard ids.updateValue(token.id, forKey: spelling) == nil else {
                let name = String(decoding: spelling, as: UTF8.self).quotedForMessage
                throw TokenizerError("The added token \(name) has two ids.")
            }
        }
        return ids
    }

    private static func byteTokens(
        _ index: TokenIndex, _ vocabulary: Vocabulary
    ) throws(TokenizerError) -> [Int32] {
        var tokens: [Int32] = []
        for byte in UInt8.min...UInt8.max {
            guard let id = index.token([byte][...], vocabulary) else {
                throw TokenizerError("Byte \(byte) has no token; a byte-level vocabulary has all 256.")
            }
            tokens.append(id)
        }
        return tokens
    }
}

/// A token that stands for itself and never comes out of text.
struct AddedToken: Hashable {
    let id: Int32
    /// Whether readers of the text should not see it.
    let isSpecial: Bool
}

/// What a file says of a tokenizer, not yet checked.
struct TokenizerContent {
    var pattern: SplitPattern
    var ignoresMerges: Bool
    var vocabulary: Vocabulary
    /// Pairs of ids, the first to be merged first.
    var merges: [TokenPair]
    var addedTokens: [AddedToken]
}
