//! Image files to pixels (PNG, JPEG, WebP) and pixels to PNG.

import CImages

/// The image formats that are read, recognised by their first bytes.
enum ImageFormat: String {
    case png = "PNG"
    case jpeg = "JPEG"
    case webp = "WebP"

    /// The format that the first bytes announce, or nil.
    init?(sniffing bytes: [UInt8]) {
        if bytes.starts(with: [0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A]) {
            self = .png
        } else if bytes.starts(with: [0xFF, 0xD8, 0xFF]) {
            self = .jpeg
        } else if bytes.count >= 12, bytes.starts(with: Array("RIFF".utf8)),
            bytes[8..<12].elementsEqual("WEBP".utf8)
        {
            self = .webp
        } else {
            return nil
        }
    }
}

extension RGBImage {
    /// Decodes a PNG, JPEG or WebP file. Whatever the file's mode, the result is what the reference's
    /// `convert_to_rgb` gives: transparency is composed onto white, palettes are looked up, CMYK is unmixed.
    /// 16-bit colours keep their high byte, and 16-bit greys above 255 are white.
    ///
    /// Nothing is allocated before the header is held against `limits`. Decoding takes at most 8 bytes of
    /// memory a pixel, and `CIMAGES_JPEG_MEMORY_MAX` besides for a JPEG file of several scans.
    /// - Throws: `malformed` for damaged or truncated files, `tooLarge` where the header exceeds `limits`,
    ///   `unsupported` for other formats, `outOfMemory`.
    public init(decoding bytes: [UInt8], limits: ImageLimits = ImageLimits()) throws(DocumentError) {
        guard let format = ImageFormat(sniffing: bytes) else {
            throw DocumentError(.unsupported, "the bytes are not a PNG, JPEG or WebP image")
        }
        let bounds = cimages_limits(
            max_width: UInt32(clamping: limits.maxWidth), max_height: UInt32(clamping: limits.maxHeight),
            max_pixels: UInt64(clamping: limits.maxPixels))
        let result = unsafe bytes.withUnsafeBufferPointer { buffer in
            switch format {
            case .png: unsafe cimages_decode_png(buffer.baseAddress, buffer.count, bounds)
            case .jpeg: unsafe cimages_decode_jpeg(buffer.baseAddress, buffer.count, bounds)
            case .webp: unsafe cimages_decode_webp(buffer.baseAddress, buffer.count, bounds)
            }
        }
        guard let decoded = unsafe result.pixels else {
            let reason = unsafe Self.text(of: result.message)
            switch unsafe result.status {
            case CIMAGES_TOO_LARGE:
                throw DocumentError(
                    .tooLarge,
                    unsafe "the \(format.rawValue) image is \(result.width) x \(result.height) pixels; "
                        + reason)
            case CIMAGES_OUT_OF_MEMORY:
                throw DocumentError(.outOfMemory, "decoding the \(format.rawValue) image: \(reason)")
            default:
                throw DocumentError(.malformed, "the \(format.rawValue) image is malformed: \(reason)")
            }
        }
        defer { unsafe cimages_free(decoded) }
        let width = unsafe Int(result.width)
        let height = unsafe Int(result.height)
        try HostBuffer.require(byteCount: width * height * 3, for: "the pixels of an image")
        self.init(
            width: width, height: height,
            pixels: unsafe Array(UnsafeBufferPointer(start: decoded, count: width * height * 3)))
    }

    /// The picture as a PNG file of 8-bit RGB.
    public func encodedPNG() throws(DocumentError) -> [UInt8] {
        try Self.encodePNG(pixels, width: width, height: height, channels: 3)
    }

    /// A grey picture (`height * width` bytes) as a PNG file.
    /// - Precondition: the sizes are positive and agree with `grey.count`.
    public static func encodedPNG(grey: [UInt8], width: Int, height: Int) throws(DocumentError) -> [UInt8] {
        precondition(width > 0 && height > 0 && grey.count == width * height)
        return try encodePNG(grey, width: width, height: height, channels: 1)
    }

    private static func encodePNG(
        _ samples: [UInt8], width: Int, height: Int, channels: UInt32
    ) throws(DocumentError) -> [UInt8] {
        let file = unsafe samples.withUnsafeBufferPointer { buffer in
            unsafe cimages_encode_png(
                buffer.baseAddress, UInt32(clamping: width), UInt32(clamping: height), channels)
        }
        guard let bytes = unsafe file.bytes else {
            let isMemory = unsafe file.status == CIMAGES_OUT_OF_MEMORY
            throw DocumentError(
                isMemory ? .outOfMemory : .malformed, unsafe "encoding a PNG: \(text(of: file.message))")
        }
        defer { unsafe cimages_free(bytes) }
        unsafe try HostBuffer.require(byteCount: file.size, for: "a PNG file")
        return unsafe Array(UnsafeBufferPointer(start: bytes, count: file.size))
    }

    /// The text in a C message buffer.
    private static func text<Buffer>(of message: Buffer) -> String {
        unsafe withUnsafeBytes(of: message) { bytes in
            unsafe String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
        }
    }
}
