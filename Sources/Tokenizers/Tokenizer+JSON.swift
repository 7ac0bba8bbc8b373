//! Reading HuggingFace's tokenizer.json: everything it can ask for is either done or refused by name.

import JSON

extension Tokenizer {
    /// Reads a tokenizer.json: a byte-level BPE model with one of the known split patterns.
    ///
    /// Post-processing that only adds special tokens is ignored, for chat formats add them. Whatever else
    /// would change the ids, such as a normalizer, is refused by an error that names it.
    public init(json: [UInt8]) throws(TokenizerError) {
        guard json.count <= TokenizerLimits.maxJSONBytes else {
            throw TokenizerError(
                "tokenizer.json has \(json.count) bytes; the limit is \(TokenizerLimits.maxJSONBytes).")
        }
        let file: TokenizerFile
        do {
            file = try JSONValue(parsing: json).decoded()
        } catch {
            throw TokenizerError("tokenizer.json cannot be read: \(Self.explanation(error)).")
        }
        try Self.refuseWhatIsNotDone(file)
        let pattern = try Self.pattern(file.preTokenizer)
        var ids: [[UInt8]: Int32] = [:]
        let vocabulary = try Self.vocabulary(file, ids: &ids)
        try self.init(
            TokenizerContent(
                pattern: pattern, ignoresMerges: file.model.ignoreMerges ?? false, vocabulary: vocabulary,
                merges: try Self.merges(file.model.merges, ids),
                addedTokens: (file.addedTokens ?? []).map {
                    AddedToken(id: Int32($0.id), isSpecial: $0.special ?? false)
                }))
    }

    private static func explanation(_ error: any Error) -> String {
        func place(_ path: [any CodingKey]) -> String {
            path.isEmpty ? "" : " at " + path.map(\.stringValue).joined(separator: ".").quotedForMessage
        }
        switch error {
        case DecodingError.keyNotFound(let key, let context):
            return "\(key.stringValue.quotedForMessage) is missing" + place(context.codingPath)
        case DecodingError.typeMismatch(_, let context), DecodingError.valueNotFound(_, let context):
            return "a value has the wrong type" + place(context.codingPath)
        default:
            return "it is not valid JSON"
        }
    }

    private static func refuseWhatIsNotDone(_ file: TokenizerFile) throws(TokenizerError) {
        let model = file.model
        let faults: [(Bool, String)] = [
            (model.type != "BPE", "the model type \(model.type.quotedForMessage)"),
            ((model.dropout ?? 0) != 0, "dropout"),
            (model.unkToken != nil, "unk_token"),
            (!(model.continuingSubwordPrefix ?? "").isEmpty, "continuing_subword_prefix"),
            (!(model.endOfWordSuffix ?? "").isEmpty, "end_of_word_suffix"),
            (model.fuseUnk ?? false, "fuse_unk"),
            (model.byteFallback ?? false, "byte_fallback"),
            (
                file.normalizer != nil,
                "the normalizer \((file.normalizer?.type ?? "").quotedForMessage)"
            ),
            (
                file.decoder.map { $0.type != "ByteLevel" } ?? false,
                "the decoder \((file.decoder?.type ?? "").quotedForMessage)"
            ),
        ]
        for (isAsked, name) in faults where isAsked {
            throw TokenizerError("tokenizer.json asks for \(name), which is not supported.")
        }
        if let processor = file.postProcessor { try refuseUnlessHarmless(processor) }
    }

    private static func refuseUnlessHarmless(
        _ processor: TokenizerFile.Component
    ) throws(TokenizerError) {
        switch processor.type {
        case "ByteLevel", "TemplateProcessing":
            return
        case "Sequence":
            for part in processor.processors ?? [] { try refuseUnlessHarmless(part) }
        default:
            throw TokenizerError(
                "tokenizer.json asks for the post-processor \(processor.type.quotedForMessage), "
                    + "which is not supported.")
        }
    }

    /// The split pattern of `ByteLevel` alone, or of `Split` followed by a `ByteLevel` that does not split.
    private static func pattern(
        _ preTokenizer: TokenizerFile.PreTokenizer?
    ) throws(TokenizerError) -> SplitPattern {
        guard let preTokenizer else {
            throw TokenizerError("tokenizer.json has no pre_tokenizer; a byte-level one is expected.")
        }
        let parts = preTokenizer.type == "Sequence" ? preTokenizer.pretokenizers ?? [] : [preTokenizer]
        guard (1...2).contains(parts.count), let byteLevel = parts.last, byteLevel.type == "ByteLevel",
            !(byteLevel.addPrefixSpace ?? true), (byteLevel.useRegex ?? true) == (parts.count == 1)
        else {
            let names = parts.map(\.type).joined(separator: ", ").quotedForMessage
            throw TokenizerError(
                "tokenizer.json splits text by \(names); supported are ByteLevel with use_regex and without "
                    + "add_prefix_space, or Split followed by ByteLevel without either.")
        }
        return parts.count == 1 ? .gpt2 : try pattern(ofSplit: parts[0])
    }

    private static func pattern(
        ofSplit split: TokenizerFile.PreTokenizer
    ) throws(TokenizerError) -> SplitPattern {
        guard split.type == "Split", let expression = split.pattern?.regex, split.pattern?.string == nil,
            split.behavior == "Isolated", !(split.invert ?? false)
        else {
            throw TokenizerError(
                "tokenizer.json splits text by \(split.type.quotedForMessage) with behavior "
                    + "\((split.behavior ?? "").quotedForMessage); only an isolated regular expression "
                    + "that is not inverted is supported.")
        }
        guard let pattern = SplitPattern(expression: expression) else {
            throw TokenizerError(
                "tokenizer.json splits text by a pattern that is not supported: "
                    + expression.quotedForMessage)
        }
        return pattern
    }

    /// The bytes of every id. The ids of ordinary tokens are noted in `ids`.
    private static func vocabulary(
        _ file: TokenizerFile, ids: inout [[UInt8]: Int32]
    ) throws(TokenizerError) -> Vocabulary {
        let added = file.addedTokens ?? []
        guard file.model.vocab.count + added.count <= TokenizerLimits.maxTokens else {
            throw TokenizerError("tokenizer.json has more than \(TokenizerLimits.maxTokens) tokens.")
        }
        let highest = max(0, file.model.vocab.values.max() ?? 0, added.map(\.id).max() ?? 0)
        guard highest < TokenizerLimits.maxTokens else {
            throw TokenizerError("Id \(highest) is beyond the limit of \(TokenizerLimits.maxTokens) ids.")
        }
        var spellings = [[UInt8]](repeating: [], count: highest + 1)
        var addedIDs = Set<Int>()
        for token in added {
            let strips = token.lstrip ?? false || token.rstrip ?? false || token.singleWord ?? false
            guard !strips, token.id >= 0, addedIDs.insert(token.id).inserted else {
                throw TokenizerError(
                    "The added token \(token.content.quotedForMessage) with id \(token.id) asks for lstrip, "
                        + "rstrip or single_word, which are not supported, or has an id already used.")
            }
            spellings[token.id] = Array(token.content.utf8)
        }
        ids.reserveCapacity(file.model.vocab.count)
        for (spelling, id) in file.model.vocab where !addedIDs.contains(id) {
            guard id >= 0, let bytes = ByteAlphabet.bytes(of: spelling), !bytes.isEmpty,
                spellings[id].isEmpty
            else {
                throw TokenizerError(
                    "The token \(spelling.quotedForMessage) with id \(id) is not spelled in the byte "
                        + "alphabet, or its id is already used.")
            }
            spellings[id] = bytes
            ids[bytes] = Int32(id)
        }
        return try Vocabulary(spellings)
    }

    private static func merges(
        _ merges: TokenizerFile.Merges, _ ids: [[UInt8]: Int32]
    ) throws(TokenizerError) -> [TokenPair] {
        let count =
            switch merges {
            case .joined(let lines): lines.count
            case .pairs(let pairs): pairs.count
            }
        guard count <= TokenizerLimits.maxMerges else {
            throw TokenizerError(
                "tokenizer.json has \(count) merges; the limit is \(TokenizerLimits.maxMerges).")
        }
        var result: [TokenPair] = []
        result.reserveCapacity(count)
        for rank in 0..<count {
            let sides =
                switch merges {
                case .joined(let lines): lines[rank].split(separator: " ", omittingEmptySubsequences: false)
                case .pairs(let pairs): pairs[rank].map { $0[...] }
                }
            guard sides.count == 2, let left = ids[ByteAlphabet.bytes(of: sides[0]) ?? []],
                let right = ids[ByteAlphabet.bytes(of: sides[1]) ?? []]
            else {
                let line = sides.joined(separator: " ").quotedForMessage
                throw TokenizerError("Merge \(rank), \(line), does not join two tokens of the vocabulary.")
            }
            result.append(TokenPair(left: left, right: right))
        }
        return result
    }
}

extension Vocabulary {
    /// The vocabulary of `spellings`, which must keep to the limits of a token and of all together.
    fileprivate init(_ spellings: [[UInt8]]) throws(TokenizerError) {
        self.init()
        for (id, spelling) in spellings.enumerated() {
            guard spelling.count <= TokenizerLimits.maxTokenBytes,
                bytes.count + spelling.count <= TokenizerLimits.maxVocabularyBytes
            else {
                throw TokenizerError("Token \(id) with its \(spelling.count) bytes is beyond the limits.")
            }
            append(spelling)
        }
    }
}
