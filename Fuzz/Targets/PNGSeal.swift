//! Gives the chunks of a PNG file their checksums back.

/// A wrong checksum ends the reading of a PNG file, so mutations would never reach what lies behind it.
enum PNGSeal {
    /// The CRC-32 of each byte (PNG specification, annex D).
    private static let table: [UInt32] = (UInt32(0)..<256).map { byte in
        (0..<8).reduce(byte) { value, _ in value & 1 == 1 ? 0xEDB8_8320 ^ (value >> 1) : value >> 1 }
    }

    /// The file with right checksums, as far as it is cut in chunks.
    static func sealed(_ file: [UInt8]) -> [UInt8] {
        var file = file
        var offset = 8
        while offset + 12 <= file.count {
            let length = file[offset..<offset + 4].reduce(0) { $0 << 8 | Int($1) }
            let end = offset + 8 + length
            guard end + 4 <= file.count else { break }
            let crc = ~file[(offset + 4)..<end].reduce(~UInt32(0)) { crc, byte in
                table[Int(UInt8(truncatingIfNeeded: crc) ^ byte)] ^ (crc >> 8)
            }
            for index in 0..<4 {
                file[end + index] = UInt8(truncatingIfNeeded: crc >> (24 - 8 * UInt32(index)))
            }
            offset = end + 4
        }
        return file
    }
}
