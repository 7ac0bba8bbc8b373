//! The numbers of the container format and the fixed structures: FORMAT.md in code.

import CXXHash

/// Constants of format version 1.
enum ContainerFormat {
    /// "THIMBLE" and a control character that stops a terminal from printing the rest.
    static let magic: [UInt8] = [0x54, 0x48, 0x49, 0x4D, 0x42, 0x4C, 0x45, 0x1A]
    static let version: UInt32 = 1
    /// Raw bytes of a block; the last of a stream may be shorter.
    static let blockByteCount = 256 * 1024
    static let segmentAlignment = 4096
    /// Alignment of each tensor plane in a segment's raw image.
    static let planeAlignment = 64

    /// `offset` rounded up to a multiple of `alignment`, a power of two.
    static func aligned(_ offset: Int, to alignment: Int) -> Int {
        (offset + alignment - 1) & ~(alignment - 1)
    }

    /// Blocks that a stream of `byteCount` raw bytes is cut in.
    static func blockCount(ofStream byteCount: Int) -> Int {
        byteCount / blockByteCount + (byteCount % blockByteCount == 0 ? 0 : 1)
    }

    static func checksum(_ bytes: UnsafeRawBufferPointer) -> UInt64 {
        unsafe thimble_xxh3_64(bytes.baseAddress, bytes.count)
    }

    static func checksum(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        unsafe bytes.withUnsafeBytes { unsafe checksum($0) }
    }
}

/// The fixed header at the start of the file. Offsets and lengths in bytes.
struct Header: Equatable {
    static let byteCount = 128
    private static let checksumOffset = 120

    var fileByteCount: UInt64 = 0
    var blockIndexOffset: UInt64 = 0
    var blockCount: UInt64 = 0
    var blockIndexChecksum: UInt64 = 0
    var manifestOffset: UInt64 = 0
    var manifestStoredByteCount: UInt64 = 0
    var manifestByteCount: UInt64 = 0
    var manifestChecksum: UInt64 = 0

    var encoded: [UInt8] {
        var bytes = ContainerFormat.magic
        bytes.append(littleEndian: ContainerFormat.version)
        bytes.append(littleEndian: UInt32(ContainerFormat.blockByteCount))
        for field in [
            fileByteCount, blockIndexOffset, blockCount, blockIndexChecksum, manifestOffset,
            manifestStoredByteCount, manifestByteCount, manifestChecksum,
        ] {
            bytes.append(littleEndian: field)
        }
        bytes += [UInt8](repeating: 0, count: Self.checksumOffset - bytes.count)
        bytes.append(littleEndian: ContainerFormat.checksum(bytes[...]))
        return bytes
    }

    /// Reads `Header.byteCount` bytes. A wrong magic is told apart from damage, and damage from another
    /// version.
    init(_ bytes: [UInt8], file: String) throws(ModelFileError) {
        guard bytes.starts(with: ContainerFormat.magic) else {
            throw ModelFileError(.notAModelFile, file: file, offset: 0, "this is not a model file")
        }
        let stored: UInt64 = bytes.littleEndian(at: Self.checksumOffset)
        guard stored == ContainerFormat.checksum(bytes[..<Self.checksumOffset]) else {
            throw ModelFileError(.damaged, file: file, offset: 0, "the header does not match its checksum")
        }
        let version: UInt32 = bytes.littleEndian(at: 8)
        guard version == ContainerFormat.version else {
            throw ModelFileError(
                .unsupportedVersion, file: file, offset: 8,
                "the format version is \(version), and \(ContainerFormat.version) is what can be read")
        }
        let block: UInt32 = bytes.littleEndian(at: 12)
        guard block == UInt32(ContainerFormat.blockByteCount),
            bytes[80..<Self.checksumOffset].allSatisfy({ $0 == 0 })
        else {
            throw ModelFileError(
                .damaged, file: file, offset: 12, "the header has fields that version 1 does not have")
        }
        fileByteCount = bytes.littleEndian(at: 16)
        blockIndexOffset = bytes.littleEndian(at: 24)
        blockCount = bytes.littleEndian(at: 32)
        blockIndexChecksum = bytes.littleEndian(at: 40)
        manifestOffset = bytes.littleEndian(at: 48)
        manifestStoredByteCount = bytes.littleEndian(at: 56)
        manifestByteCount = bytes.littleEndian(at: 64)
        manifestChecksum = bytes.littleEndian(at: 72)
    }

    init() {}
}

/// One block of a stream, as the block index states it.
struct BlockEntry: Equatable, Sendable {
    static let byteCount = 16

    /// Bytes in the file; equal to `rawByteCount` where the block is stored raw.
    var storedByteCount: UInt32
    var rawByteCount: UInt32
    /// XXH3-64 of the stored bytes.
    var checksum: UInt64

    init(storedByteCount: UInt32, rawByteCount: UInt32, checksum: UInt64) {
        self.storedByteCount = storedByteCount
        self.rawByteCount = rawByteCount
        self.checksum = checksum
    }

    init(_ bytes: [UInt8], at offset: Int) {
        storedByteCount = bytes.littleEndian(at: offset)
        rawByteCount = bytes.littleEndian(at: offset + 4)
        checksum = bytes.littleEndian(at: offset + 8)
    }

    func append(to bytes: inout [UInt8]) {
        bytes.append(littleEndian: storedByteCount)
        bytes.append(littleEndian: rawByteCount)
        bytes.append(littleEndian: checksum)
    }
}

extension [UInt8] {
    package mutating func append<T: FixedWidthInteger>(littleEndian value: T) {
        for shift in stride(from: 0, to: T.bitWidth, by: 8) {
            append(UInt8(truncatingIfNeeded: value >> T(shift)))
        }
    }

    /// Precondition: the bytes are there.
    package func littleEndian<T: FixedWidthInteger>(at offset: Int) -> T {
        var value: T = 0
        for index in 0..<(T.bitWidth / 8) {
            value |= T(truncatingIfNeeded: self[offset + index]) << T(index * 8)
        }
        return value
    }
}
