//! The conversation of a saved session: who says what, in which order, and where images stand.

internal import ModelFile

/// The texts of a conversation, with a place for each image.
///
///     model's name   4 bytes of its length, and UTF-8
///     a message      1 byte of its role: 0 system, 1 user, 2 assistant; 4 of the number of its items
///     an item        1 byte of its kind: 0 text, 4 bytes of its length, and UTF-8; 1 the next image
///
/// Lengths and numbers are little-endian.
public struct SavedConversation: Equatable, Sendable {
    /// Who says a message.
    public enum Role: UInt8, Sendable { case system, user, assistant }

    /// A piece of a message.
    public enum Item: Equatable, Sendable {
        case text(String)
        /// The next one of the images.
        case image
    }

    /// One message.
    public struct Message: Equatable, Sendable {
        public var role: Role
        public var items: [Item]

        public init(_ role: Role, _ items: [Item]) {
            self.role = role
            self.items = items
        }
    }

    /// What people call the model.
    public var modelName: String
    public var messages: [Message]

    public init(modelName: String, messages: [Message]) {
        self.modelName = modelName
        self.messages = messages
    }

    /// Images of all messages.
    public var imageCount: Int {
        messages.reduce(0) { sum, message in sum + message.items.count { $0 == .image } }
    }

    var itemCount: Int { messages.reduce(0) { $0 + $1.items.count } }

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        func append(_ text: String) {
            bytes.append(littleEndian: UInt32(text.utf8.count))
            bytes += text.utf8
        }
        append(modelName)
        for message in messages {
            bytes.append(message.role.rawValue)
            bytes.append(littleEndian: UInt32(message.items.count))
            for item in message.items {
                switch item {
                case .text(let text):
                    bytes.append(0)
                    append(text)
                case .image: bytes.append(1)
                }
            }
        }
        return bytes
    }

    /// Nil where `bytes` are not exactly `messageCount` messages.
    init?(_ bytes: [UInt8], messageCount: Int) {
        var reader = ConversationReader(bytes)
        guard let name = reader.text(), name.utf8.count <= SessionLimits.maximumModelNameByteCount else {
            return nil
        }
        modelName = name
        messages = []
        var left = SessionLimits.maximumItemCount
        for _ in 0..<messageCount {
            guard let role = reader.byte().flatMap(Role.init(rawValue:)), let count = reader.number(),
                count <= left
            else { return nil }
            left -= count
            var items: [Item] = []
            for _ in 0..<count {
                switch reader.byte() {
                case 0:
                    guard let text = reader.text() else { return nil }
                    items.append(.text(text))
                case 1: items.append(.image)
                default: return nil
                }
            }
            messages.append(Message(role, items))
        }
        guard reader.isAtEnd else { return nil }
    }
}

/// Takes a conversation's bytes one piece after the other; nil where there are too few.
private struct ConversationReader {
    private let bytes: [UInt8]
    private var position = 0

    init(_ bytes: [UInt8]) { self.bytes = bytes }

    var isAtEnd: Bool { position == bytes.count }

    mutating func byte() -> UInt8? {
        guard position < bytes.count else { return nil }
        defer { position += 1 }
        return bytes[position]
    }

    mutating func number() -> Int? {
        guard bytes.count - position >= 4 else { return nil }
        defer { position += 4 }
        return Int(bytes.littleEndian(at: position) as UInt32)
    }

    mutating func text() -> String? {
        guard let count = number(), count <= bytes.count - position else { return nil }
        defer { position += count }
        return String(validating: bytes[position..<position + count], as: UTF8.self)
    }
}
