//! Every limit on what a budget may say, in one place.

/// What a budget's file may ask for, checked before it is believed.
enum MemoryLimits {
    /// The file, in bytes; those that are shipped have about two thousand.
    static let maximumFileByteCount = 64 << 10
    /// Brackets within brackets, and full stops in one key: each is a table within a table, and so a call
    /// within a call where the text is parsed. No budget needs more than two.
    static let maximumDepth = 8
    /// One text, in UTF-8 bytes.
    static let maximumTextByteCount = 4096
    /// Texts of one list, and keys of `[pages]`.
    static let maximumItemCount = 64
    /// Tokens of a conversation, of a chunk of the prompt, or of an image.
    static let tokenCount = 1...16_777_216
    /// Layers of a decoder.
    static let layerCount = 0...1024
    /// Threads that compute, and cores of a machine.
    static let threadCount = 1...1024
    /// The number of a Vulkan device.
    static let deviceNumber = 0...1023
    /// Tokens of a page of keys and values; only powers of two.
    static let pageTokenCount = 8...256
    /// Days for which a saved session is kept.
    static let dayCount = 1...36_500
    /// Degrees at which a machine is to be spared.
    static let celsius: ClosedRange<Double> = 20...150
    /// Watts at which a machine is to be spared.
    static let watts: ClosedRange<Double> = 0.1...10_000
}
