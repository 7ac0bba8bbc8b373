//! The compact binary form of a tokenizer, which model files store so that devices parse no JSON.

extension Tokenizer {
    /// The tokenizer in its binary form, the same bytes for the same tokenizer.
    ///
    /// All numbers are little-endian, nothing is aligned or padded, and the parts follow on each other:
    ///
    ///     offset  bytes   content
    ///     0       4       the ASCII letters TOKB
    ///     4       2       version, 1
    ///     6       1       split pattern: 1 GPT-2's, 2 Qwen2's (single numbers), 3 GLM-4's (up to three)
    ///     7       1       flags: bit 0 ignore_merges; the other bits are 0
    ///     8       4       T, the number of ids: 1 to 2^22
    ///     12      4       B, the bytes of all tokens together: less than 2^31
    ///     16      4       M, the number of merges: at most 2^23
    ///     20      4       A, the number of added tokens: at most T
    ///     24      2 T     the byte count of each token, in order of ids; 0 where an id stands for no token
    ///     ...     B       the bytes of the tokens, in order of ids
    ///     ...     8 M     merges, lowest rank first: the left id, then the right id, 4 bytes each;
    ///                     the result is the ordinary token with the bytes of both
    ///     ...     5 A     added tokens, in rising order of ids: the id, 4 bytes, then flags, 1 byte: bit 0
    ///                     special (hidden from readers of the text); the other bits are 0
    ///
    /// The total is exactly 24 + 2 T + B + 8 M + 5 A bytes. The bytes of an ordinary token are raw bytes, not
    /// their spelling in GPT-2's byte alphabet; those of an added token are its spelling in UTF-8. Tokens
    /// that are not added are ordinary: they differ in their bytes, and each of the 256 single bytes is one
    /// of them.
    public func serialized() -> [UInt8] {
        var out: [UInt8] = []
        out.reserveCapacity(
            24 + 2 * count + vocabulary.bytes.count + 8 * merges.merges.count + 5 * addedTokens.count)
        out.append(contentsOf: Self.magic)
        out.appendLittleEndian(Self.version)
        out.append(pattern.rawValue)
        out.append(ignoresMerges ? 1 : 0)
        for size in [count, vocabulary.bytes.count, merges.merges.count, addedTokens.count] {
            out.appendLittleEndian(UInt32(size))
        }
        for id in 0..<count {
            out.appendLittleEndian(UInt16(vocabulary.starts[id + 1] - vocabulary.starts[id]))
        }
        out.append(contentsOf: vocabulary.bytes)
        for merge in merges.merges {
            out.appendLittleEndian(merge.pair.left)
            out.appendLittleEndian(merge.pair.right)
        }
        for token in addedTokens {
            out.appendLittleEndian(token.id)
            out.append(token.isSpecial ? 1 : 0)
        }
        return out
    }

    /// Reads the form that `serialized` writes. Every length is checked before memory is taken for it.
    public init(serialized bytes: [UInt8]) throws(TokenizerError) {
        try self.init(serialized: bytes.span)
    }

    /// Reads the form that `serialized` writes. Every length is checked before memory is taken for it.
    public init(serialized bytes: Span<UInt8>) throws(TokenizerError) {
        try self.init(Self.content(bytes))
    }

    private static let magic = Array("TOKB".utf8)
    private static let version: UInt16 = 1
    private static let headerByteCount = 24

    private static func content(_ bytes: Span<UInt8>) throws(TokenizerError) -> TokenizerContent {
        guard bytes.count >= headerByteCount, magic.indices.allSatisfy({ bytes[$0] == magic[$0] }) else {
            throw TokenizerError("The tokenizer's \(bytes.count) bytes do not start with the header TOKB.")
        }
        var reader = LittleEndianReader(bytes, at: magic.count)
        let version = reader.read(UInt16.self)
        guard version == Self.version else {
            throw TokenizerError("The tokenizer has version \(version); this program reads \(Self.version).")
        }
        let patternCode = reader.read(UInt8.self)
        guard let pattern = SplitPattern(rawValue: patternCode) else {
            throw TokenizerError("The tokenizer's split pattern \(patternCode) is unknown.")
        }
        let flags = reader.read(UInt8.self)
        guard flags <= 1 else { throw TokenizerError("The tokenizer's flags \(flags) are unknown.") }
        let sizes = try Sizes(&reader, byteCount: bytes.count)
        return TokenizerContent(
            pattern: pattern, ignoresMerges: flags == 1,
            vocabulary: try vocabulary(&reader, sizes),
            merges: merges(&reader, sizes),
            addedTokens: try addedTokens(&reader, sizes))
    }

    private static func vocabulary(
        _ reader: inout LittleEndianReader, _ sizes: Sizes
    ) throws(TokenizerError) -> Vocabulary {
        var starts: [UInt32] = [0]
        starts.reserveCapacity(sizes.tokens + 1)
        var total: UInt32 = 0
        // At most 2^22 lengths below 2^16 are summed, fewer than 2^38: so each sum is checked.
        for _ in 0..<sizes.tokens {
            let (sum, overflows) = total.addingReportingOverflow(UInt32(reader.read(UInt16.self)))
            guard !overflows, sum <= sizes.tokenBytes else {
                throw TokenizerError("The tokens are longer than the \(sizes.tokenBytes) bytes they have.")
            }
            total = sum
            starts.append(total)
        }
        guard total == sizes.tokenBytes else {
            throw TokenizerError("The tokens take \(total) of the \(sizes.tokenBytes) bytes they have.")
        }
        return Vocabulary(bytes: reader.readBytes(sizes.tokenBytes), starts: starts)
    }

    private static func merges(_ reader: inout LittleEndianReader, _ sizes: Sizes) -> [TokenPair] {
        var pairs: [TokenPair] = []
        pairs.reserveCapacity(sizes.merges)
        for _ in 0..<sizes.merges {
            let left = reader.read(Int32.self)
            pairs.append(TokenPair(left: left, right: reader.read(Int32.self)))
        }
        return pairs
    }

    private static func addedTokens(
        _ reader: inout LittleEndianReader, _ sizes: Sizes
    ) throws(TokenizerError) -> [AddedToken] {
        var tokens: [AddedToken] = []
        tokens.reserveCapacity(sizes.addedTokens)
        for _ in 0..<sizes.addedTokens {
            let id = reader.read(Int32.self)
            let flags = reader.read(UInt8.self)
            guard flags <= 1, id > tokens.last?.id ?? -1 else {
                throw TokenizerError("The added token \(id) has flags \(flags) or is out of order.")
            }
            tokens.append(AddedToken(id: id, isSpecial: flags == 1))
        }
        return tokens
    }
}

/// The four sizes of the binary form, which together account for every byte.
private struct Sizes {
    let tokens: Int
    let tokenBytes: Int
    let merges: Int
    let addedTokens: Int

    init(_ reader: inout LittleEndianReader, byteCount: Int) throws(TokenizerError) {
        tokens = Int(reader.read(UInt32.self))
        tokenBytes = Int(reader.read(UInt32.self))
        merges = Int(reader.read(UInt32.self))
        addedTokens = Int(reader.read(UInt32.self))
        guard (1...TokenizerLimits.maxTokens).contains(tokens),
            tokenBytes <= TokenizerLimits.maxVocabularyBytes,
            merges <= TokenizerLimits.maxMerges, addedTokens <= tokens
        else {
            throw TokenizerError(
                "The tokenizer has \(tokens) ids, \(tokenBytes) bytes of tokens, \(merges) merges and "
                    + "\(addedTokens) added tokens; that is beyond the limits.")
        }
        let expected = 24 + 2 * tokens + tokenBytes + 8 * merges + 5 * addedTokens
        guard expected == byteCount else {
            throw TokenizerError("The tokenizer has \(byteCount) bytes; its header says \(expected).")
        }
    }
}

/// Reads numbers one after the other. Reading beyond the end is a programmer's mistake.
private struct LittleEndianReader: ~Copyable, ~Escapable {
    private let bytes: Span<UInt8>
    private var offset: Int

    @_lifetime(copy bytes)
    init(_ bytes: Span<UInt8>, at offset: Int) {
        self.bytes = bytes
        self.offset = offset
    }

    mutating func read<T: FixedWidthInteger>(_: T.Type) -> T {
        var value: T = 0
        for index in 0..<T.bitWidth / 8 {
            value |= T(truncatingIfNeeded: bytes[offset + index]) << T(8 * index)
        }
        offset += T.bitWidth / 8
        return value
    }

    mutating func readBytes(_ count: Int) -> [UInt8] {
        defer { offset += count }
        return (offset..<offset + count).map { bytes[$0] }
    }
}

extension [UInt8] {
    fileprivate mutating func appendLittleEndian(_ value: some FixedWidthInteger) {
        for shift in stride(from: 0, to: type(of: value).bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> shift))
        }
    }
}
