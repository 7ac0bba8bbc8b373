//! Takes numbers and runs of bytes from a fuzzer's input.

/// A cursor over an input. Beyond the end there are zeros, so that every input means something.
struct InputReader {
    private var rest: ArraySlice<UInt8>

    init(_ input: [UInt8]) { rest = input[...] }

    mutating func byte() -> UInt8 { rest.popFirst() ?? 0 }

    mutating func uint16() -> Int { Int(byte()) | Int(byte()) << 8 }

    mutating func uint32() -> UInt32 { UInt32(uint16()) | UInt32(uint16()) << 16 }

    /// The next bytes, fewer where the input ends.
    mutating func bytes(_ count: Int) -> ArraySlice<UInt8> {
        defer { rest = rest.dropFirst(count) }
        return rest.prefix(count)
    }

    /// Everything that is left.
    mutating func remainder() -> [UInt8] {
        defer { rest = [] }
        return Array(rest)
    }

    var isAtEnd: Bool { rest.isEmpty }
}

/// Bytes that differ from what would be right: the input states the difference, so that an input without any
/// is a well-formed file, and a mutation changes what it touches and nothing else.
struct ByteEdits {
    private var edits: [(offset: Int, difference: UInt8)] = []

    /// Reads at most `limit` edits: their count, then offset and difference of each.
    init(_ reader: inout InputReader, limit: Int) {
        for _ in 0..<Int(reader.byte()) % (limit + 1) { edits.append((reader.uint16(), reader.byte())) }
    }

    /// Applies the edits that fall into the bytes.
    func apply(to bytes: inout [UInt8]) {
        for edit in edits where edit.offset < bytes.count { bytes[edit.offset] ^= edit.difference }
    }
}
