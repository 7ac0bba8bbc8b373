//! Every limit on a saved session, in one place.

/// What is believed of a session's file before its bytes are looked at.
enum SessionLimits {
    /// Messages of a conversation.
    static let maximumMessageCount = 65_536
    /// Texts and images of all messages.
    static let maximumItemCount = 262_144
    /// Bytes of the conversation: its texts, and what says where they begin.
    static let maximumConversationByteCount = 67_108_864
    /// Bytes of the model's name.
    static let maximumModelNameByteCount = 4_096
    /// Images of a conversation.
    static let maximumImageCount = 4_096
    /// Bytes of one image's PNG file.
    static let maximumImageByteCount = 268_435_456
    /// Pixels of all images together.
    static let maximumPixelCount = 268_435_456
    /// Inputs of the model.
    static let maximumInputCount = 16_777_216
    /// Tokens of a page of keys and values.
    static let maximumPageTokenCount = 256
    /// Bytes of a page of keys and values over all layers.
    static let maximumPageByteCount = 1_073_741_824
    /// Bytes of a session's name.
    static let maximumNameByteCount = 64
}
