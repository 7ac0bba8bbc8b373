//! What can go wrong when a tokenizer is read or a conversation is rendered.

/// A fault of a tokenizer's data or of a conversation: its message names the thing at fault.
public struct TokenizerError: Error, Hashable, CustomStringConvertible {
    /// What is wrong, with the numbers and names involved.
    public let message: String

    /// An error that says `message`.
    public init(_ message: String) {
        self.message = message
    }

    /// The message.
    public var description: String { message }
}

extension String {
    /// The string in quotes, cut to a length that suits a message: names in hostile files may be long.
    var quotedForMessage: String {
        let shown = unicodeScalars.prefix(TokenizerLimits.maxQuotedCharacters)
        return "\"" + String(shown) + (shown.count < unicodeScalars.count ? "…\"" : "\"")
    }
}
