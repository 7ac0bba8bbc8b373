//! Token ids on the command line: `1,2,3`.

import ArgumentParser

/// Comma-separated token ids.
struct TokenList: ExpressibleByArgument {
    let tokens: [Int32]

    init?(argument: String) {
        var tokens: [Int32] = []
        for part in argument.split(separator: ",", omittingEmptySubsequences: false) {
            guard let token = Int32(part.trimmed) else { return nil }
            tokens.append(token)
        }
        self.tokens = tokens
    }
}

extension Substring {
    /// Without spaces at both ends.
    fileprivate var trimmed: Substring {
        let start = drop { $0 == " " }
        return start[..<(start.lastIndex { $0 != " " }.map { start.index(after: $0) } ?? start.startIndex)]
    }
}
