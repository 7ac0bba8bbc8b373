//! The form of an entry: a head that says whose features these are, and the features.

internal import CXXHash
internal import ModelFile

/// The shape of an image's features: a row of float32 for each visual token.
public struct FeatureShape: Sendable, Equatable {
    /// Visual tokens along each side of the image.
    public let height: Int
    public let width: Int
    /// Numbers of a visual token.
    public let columns: Int

    /// Precondition: all are positive and fit 31 bits, and the features' bytes an `Int`.
    public init(height: Int, width: Int, columns: Int) {
        precondition([height, width, columns].allSatisfy { $0 > 0 && $0 <= Int32.max })
        self.height = height
        self.width = width
        self.columns = columns
    }

    /// Visual tokens.
    public var rows: Int { height * width }
    /// Bytes of one visual token.
    var rowByteCount: Int { columns * 4 }
    /// Bytes of the features.
    public var byteCount: Int { rows * rowByteCount }
    /// Bytes of an entry's file.
    var fileByteCount: Int { EntryHead.byteCount + byteCount }

    /// The rows in runs of a quarter of a MiB, or of one row where that is larger: each run is read or
    /// written at once, and goes into the checksum behind the one before.
    var runs: [Range<Int>] {
        let count = max(1, (256 << 10) / rowByteCount)
        return stride(from: 0, to: rows, by: count).map { $0..<min($0 + count, rows) }
    }
}

/// The first bytes of an entry's file. All numbers are little-endian.
///
///     0    8   "THIMFEA" and a control character that stops a terminal from printing the rest
///     8    4   the form's version
///     12   4   numbers of a visual token
///     16   16  the image's number
///     32   4   visual tokens from top to bottom
///     36   4   visual tokens from left to right
///     40   8   bytes of the features, which are float32 `[height, width, columns]` and end the file
///     48   8   XXH3-64 of each run of the features in turn, seeded with that of the run before, the first
///              with 0
///     56   8   XXH3-64 of the 56 bytes before
///
/// A reader knows what all but the checksum must be.
struct EntryHead: Equatable {
    static let byteCount = 64
    /// Another form gets another version; entries of the others are not read.
    static let version: UInt32 = 1
    private static let magic = Array("THIMFEA\u{1A}".utf8)
    private static let checksumOffset = 56

    let image: UInt128
    let shape: FeatureShape
    let checksum: UInt64

    var encoded: [UInt8] {
        var bytes = Self.magic
        bytes.append(littleEndian: Self.version)
        bytes.append(littleEndian: UInt32(shape.columns))
        bytes.append(littleEndian: image)
        bytes.append(littleEndian: UInt32(shape.height))
        bytes.append(littleEndian: UInt32(shape.width))
        bytes.append(littleEndian: UInt64(shape.byteCount))
        bytes.append(littleEndian: checksum)
        bytes.append(littleEndian: EntryChecksum.of(bytes[...]))
        return bytes
    }

    init(image: UInt128, shape: FeatureShape, checksum: UInt64) {
        self.image = image
        self.shape = shape
        self.checksum = checksum
    }

    /// The head of an entry for that image and shape; nil where `bytes` are not one, or another's.
    init?(_ bytes: [UInt8], image: UInt128, shape: FeatureShape) {
        guard bytes.count == Self.byteCount else { return nil }
        let stated: UInt64 = bytes.littleEndian(at: Self.checksumOffset - 8)
        self.init(image: image, shape: shape, checksum: stated)
        guard encoded == bytes else { return nil }
    }
}

/// The checksum of features, taken run by run.
struct EntryChecksum {
    private(set) var value: UInt64 = 0

    mutating func add(_ bytes: UnsafeRawBufferPointer) {
        value = unsafe thimble_xxh3_64_seeded(bytes.baseAddress, bytes.count, value)
    }

    /// The checksum of some bytes by themselves.
    static func of(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        unsafe bytes.withUnsafeBytes { unsafe thimble_xxh3_64($0.baseAddress, $0.count) }
    }
}
