//! The parts of HuggingFace's tokenizer.json that say how text becomes ids.

/// A tokenizer.json as it stands in the file: every field that this module obeys or must refuse.
struct TokenizerFile: Decodable {
    var addedTokens: [AddedTokenEntry]?
    var normalizer: Component?
    var preTokenizer: PreTokenizer?
    var postProcessor: Component?
    var decoder: Component?
    var model: Model

    enum CodingKeys: String, CodingKey {
        case addedTokens = "added_tokens"
        case normalizer
        case preTokenizer = "pre_tokenizer"
        case postProcessor = "post_processor"
        case decoder
        case model
    }

    /// A component of which only the kind matters. A sequence holds others.
    struct Component: Decodable {
        var type: String
        var processors: [Component]?
    }

    struct AddedTokenEntry: Decodable {
        var id: Int
        var content: String
        var singleWord: Bool?
        var lstrip: Bool?
        var rstrip: Bool?
        var special: Bool?

        enum CodingKeys: String, CodingKey {
            case id, content, lstrip, rstrip, special
            case singleWord = "single_word"
        }
    }

    struct PreTokenizer: Decodable {
        var type: String
        var pretokenizers: [PreTokenizer]?
        var pattern: Pattern?
        var behavior: String?
        var invert: Bool?
        var addPrefixSpace: Bool?
        var useRegex: Bool?

        enum CodingKeys: String, CodingKey {
            case type, pretokenizers, pattern, behavior, invert
            case addPrefixSpace = "add_prefix_space"
            case useRegex = "use_regex"
        }
    }

    struct Pattern: Decodable {
        var regex: String?
        var string: String?

        enum CodingKeys: String, CodingKey {
            case regex = "Regex"
            case string = "String"
        }
    }

    struct Model: Decodable {
        var type: String
        var vocab: [String: Int]
        var merges: Merges
        var dropout: Double?
        var unkToken: String?
        var continuingSubwordPrefix: String?
        var endOfWordSuffix: String?
        var fuseUnk: Bool?
        var byteFallback: Bool?
        var ignoreMerges: Bool?

        enum CodingKeys: String, CodingKey {
            case type, vocab, merges, dropout
            case unkToken = "unk_token"
            case continuingSubwordPrefix = "continuing_subword_prefix"
            case endOfWordSuffix = "end_of_word_suffix"
            case fuseUnk = "fuse_unk"
            case byteFallback = "byte_fallback"
            case ignoreMerges = "ignore_merges"
        }
    }

    /// Merges in either of the two spellings: "a b", or ["a", "b"].
    enum Merges: Decodable {
        case joined([String])
        case pairs([[String]])

        init(from decoder: any Decoder) throws {
            let container = try decoder.singleValueContainer()
            if let joined = try? container.decode([String].self) {
                self = .joined(joined)
            } else {
                self = .pairs(try container.decode([[String]].self))
            }
        }
    }
}
