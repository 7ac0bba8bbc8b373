//! From text whose author may name added tokens to ids.

extension Tokenizer {
    /// The ids of a text in which the spelling of an added token is that token: for prompts that the
    /// program's user writes whole. Never for text from anywhere else: it could forge the structure of the
    /// prompt.
    ///
    /// Where several spellings start at one place the longest counts.
    public func encode(trusted text: String) -> [Int32] {
        let bytes = Array(text.utf8)
        let spellings = addedTokens.map { (id: $0.id, bytes: Array(self.bytes(of: $0.id))) }
            .sorted { $0.bytes.count > $1.bytes.count }
        let firstBytes = Set(spellings.compactMap(\.bytes.first))
        var ids: [Int32] = []
        var start = 0
        var index = 0
        while index < bytes.count {
            guard firstBytes.contains(bytes[index]),
                let match = spellings.first(where: { bytes[index...].starts(with: $0.bytes) })
            else {
                index += 1
                continue
            }
            ids += encode(Array(bytes[start..<index]))
            ids.append(match.id)
            index += match.bytes.count
            start = index
        }
        return ids + encode(Array(bytes[start...]))
    }
}
