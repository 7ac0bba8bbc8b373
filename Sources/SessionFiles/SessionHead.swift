//! The first bytes of a saved session: what it is of, and how long each part is.

internal import CXXHash
internal import ModelFile

/// The head of a session's file. All numbers are little-endian.
///
///     0    8   "THIMSES" and a control character that stops a terminal from printing the rest
///     8    4   the form's version
///     12   4   how keys and values are stored: 0 for f16, 1 for int8, 3 for int5
///     16   16  the model's identity: XXH3-64 of its file's head under the seeds 0 and 1
///     32   8   when it was saved, in seconds since 1970
///     40   4   tokens of a page
///     44   4   messages
///     48   4   images
///     52   4   how many of them, the first ones, stand among the inputs
///     56   4   inputs
///     60   4   positions whose keys and values are there: those of the first inputs
///     64   8   bytes of a page over all layers
///     72   8   bytes of the conversation
///     80   8   bytes of all images
///     88   8   XXH3-64 of the conversation
///     96   8   XXH3-64 of the inputs
///     104  8   XXH3-64 of the index
///     112  8   XXH3-64 of the 112 bytes before
///
/// The conversation, the images, the inputs (an int32 each), the pages and the index follow in this order and
/// without gaps, so that the head decides the file's size.
public struct SessionHead: Equatable, Sendable {
    static let byteCount = 120
    /// Another form gets another version; files of the others are not read.
    static let version: UInt32 = 1
    static let magic = Array("THIMSES\u{1A}".utf8)

    /// How keys and values are stored, by number.
    public var form: UInt32
    /// Which model it is of.
    public var model: UInt128
    /// Seconds since 1970.
    public var savedAt: UInt64
    /// Tokens of a page.
    public var pageTokens: Int
    /// Messages of the conversation.
    public internal(set) var messageCount = 0
    /// Images of the conversation.
    public internal(set) var imageCount = 0
    /// How many of them, the first ones, stand among the inputs.
    public internal(set) var placedImageCount = 0
    /// Inputs of the model: tokens, those of images included.
    public internal(set) var inputCount = 0
    /// Positions whose keys and values are there.
    public var positionCount: Int
    /// Bytes of a page over all layers.
    public var pageByteCount: Int
    var conversationByteCount = 0
    var imagesByteCount = 0
    var conversationChecksum: UInt64 = 0
    var inputsChecksum: UInt64 = 0
    var indexChecksum: UInt64 = 0

    /// A head whose counts and checksums its writer fills in.
    public init(
        form: UInt32, model: UInt128, savedAt: UInt64, pageTokens: Int, positionCount: Int, pageByteCount: Int
    ) {
        self.form = form
        self.model = model
        self.savedAt = savedAt
        self.pageTokens = pageTokens
        self.positionCount = positionCount
        self.pageByteCount = pageByteCount
    }

    /// The identity of the model that `bytes` tell from all others.
    public static func identity(of bytes: [UInt8]) -> UInt128 {
        unsafe bytes.withUnsafeBytes { buffer in
            let halves = (0..<2 as Range<UInt64>).map { seed in
                unsafe UInt128(thimble_xxh3_64_seeded(buffer.baseAddress, buffer.count, seed))
            }
            return halves[1] << 64 | halves[0]
        }
    }

    // MARK: Places

    /// Pages of keys and values.
    public var pageCount: Int { (positionCount + pageTokens - 1) / pageTokens }
    var imagesOffset: Int { Self.byteCount + conversationByteCount }
    var inputsOffset: Int { imagesOffset + imagesByteCount }
    var pagesOffset: Int { inputsOffset + 4 * inputCount }
    var indexOffset: Int { pagesOffset + pageCount * pageByteCount }
    var indexByteCount: Int { imageCount * SavedImage.byteCount + pageCount * 8 }
    /// Bytes of the whole file.
    public var fileByteCount: Int { indexOffset + indexByteCount }

    // MARK: Bytes

    var encoded: [UInt8] {
        var bytes = Self.magic
        for number in [Self.version, form] { bytes.append(littleEndian: number) }
        bytes.append(littleEndian: model)
        bytes.append(littleEndian: savedAt)
        for count in [pageTokens, messageCount, imageCount, placedImageCount, inputCount, positionCount] {
            bytes.append(littleEndian: UInt32(count))
        }
        for count in [pageByteCount, conversationByteCount, imagesByteCount] {
            bytes.append(littleEndian: UInt64(count))
        }
        for sum in [conversationChecksum, inputsChecksum, indexChecksum] { bytes.append(littleEndian: sum) }
        bytes.append(littleEndian: checksum(bytes[...]))
        return bytes
    }

    /// The head of the file at `path` from its first bytes, each count of which is within its limit.
    /// Throws `notASession`, `unsupportedVersion`, `damaged` and `limit`.
    init(_ bytes: [UInt8], of path: String) throws(SessionFileError) {
        guard bytes.starts(with: Self.magic) else {
            throw SessionFileError(.notASession, file: path, "not a saved session")
        }
        guard bytes.count == Self.byteCount else {
            throw SessionFileError(.damaged, file: path, "the file ends in its head")
        }
        let version: UInt32 = bytes.littleEndian(at: 8)
        guard version == Self.version else {
            throw SessionFileError(
                .unsupportedVersion, file: path, "a session of version \(version); \(Self.version) is read")
        }
        guard bytes.littleEndian(at: Self.byteCount - 8) == checksum(bytes.dropLast(8)) else {
            throw SessionFileError(.damaged, file: path, "the head does not match its checksum")
        }
        func count(_ name: String, at offset: Int, _ most: Int) throws(SessionFileError) -> Int {
            let number =
                offset < 64
                ? UInt64(bytes.littleEndian(at: offset) as UInt32) : bytes.littleEndian(at: offset)
            guard number <= UInt64(most) else {
                throw SessionFileError(.limit, file: path, "\(number) \(name); at most \(most) are read")
            }
            return Int(number)
        }
        form = bytes.littleEndian(at: 12)
        model = bytes.littleEndian(at: 16)
        savedAt = bytes.littleEndian(at: 32)
        pageTokens = try count("tokens of a page", at: 40, SessionLimits.maximumPageTokenCount)
        messageCount = try count("messages", at: 44, SessionLimits.maximumMessageCount)
        imageCount = try count("images", at: 48, SessionLimits.maximumImageCount)
        placedImageCount = try count("images in inputs", at: 52, SessionLimits.maximumImageCount)
        inputCount = try count("inputs", at: 56, SessionLimits.maximumInputCount)
        positionCount = try count("positions", at: 60, SessionLimits.maximumInputCount)
        pageByteCount = try count("bytes of a page", at: 64, SessionLimits.maximumPageByteCount)
        conversationByteCount = try count(
            "bytes of conversation", at: 72, SessionLimits.maximumConversationByteCount)
        imagesByteCount = try count(
            "bytes of images", at: 80,
            SessionLimits.maximumImageCount * SessionLimits.maximumImageByteCount)
        conversationChecksum = bytes.littleEndian(at: 88)
        inputsChecksum = bytes.littleEndian(at: 96)
        indexChecksum = bytes.littleEndian(at: 104)
        guard pageTokens > 0, pageByteCount > 0, placedImageCount <= imageCount, positionCount <= inputCount
        else { throw SessionFileError(.damaged, file: path, "the head contradicts itself") }
    }
}

/// An image of a saved session, as the index has it.
///
///     0    8   bytes of its PNG file
///     8    8   XXH3-64 of them
///     16   4   pixels from left to right
///     20   4   pixels from top to bottom
///     24   4   the index of the first of its inputs
///     28   4   visual tokens from top to bottom
///     32   4   visual tokens from left to right
///
/// The last three are 0 where the image is none of those that stand among the inputs.
struct SavedImage: Equatable {
    static let byteCount = 36

    var pngByteCount: Int
    var pngChecksum: UInt64
    var width: Int
    var height: Int
    var place: ImagePlace?

    var encoded: [UInt8] {
        var bytes: [UInt8] = []
        bytes.append(littleEndian: UInt64(pngByteCount))
        bytes.append(littleEndian: pngChecksum)
        for number in [width, height, place?.start ?? 0, place?.rows ?? 0, place?.columns ?? 0] {
            bytes.append(littleEndian: UInt32(number))
        }
        return bytes
    }

    init(pngByteCount: Int, pngChecksum: UInt64, width: Int, height: Int, place: ImagePlace?) {
        self.pngByteCount = pngByteCount
        self.pngChecksum = pngChecksum
        self.width = width
        self.height = height
        self.place = place
    }

    /// Nil where the file is larger than is read.
    init?(_ bytes: [UInt8], at offset: Int, isPlaced: Bool) {
        let count: UInt64 = bytes.littleEndian(at: offset)
        guard count <= UInt64(SessionLimits.maximumImageByteCount) else { return nil }
        func number(_ index: Int) -> Int {
            Int(bytes.littleEndian(at: offset + 16 + 4 * index) as UInt32)
        }
        self.init(
            pngByteCount: Int(count), pngChecksum: bytes.littleEndian(at: offset + 8), width: number(0),
            height: number(1),
            place: isPlaced ? ImagePlace(start: number(2), rows: number(3), columns: number(4)) : nil)
    }
}

/// Where an image stands among the inputs of a model.
public struct ImagePlace: Equatable, Sendable {
    /// The index of the first of its inputs.
    public let start: Int
    /// Visual tokens from top to bottom.
    public let rows: Int
    /// Visual tokens from left to right.
    public let columns: Int

    public init(start: Int, rows: Int, columns: Int) {
        self.start = start
        self.rows = rows
        self.columns = columns
    }
}
