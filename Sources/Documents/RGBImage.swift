//! A picture in memory: 8-bit RGB, row-major, without padding.

/// One picture, `[height, width, 3]` bytes.
public struct RGBImage: Sendable, Equatable {
    /// Columns, in pixels.
    public let width: Int
    /// Rows, in pixels.
    public let height: Int
    /// `height * width * 3` bytes: red, green, blue of each pixel, row by row.
    public internal(set) var pixels: [UInt8]

    /// A picture from its bytes.
    /// - Precondition: the sizes are positive and `pixels.count == width * height * 3`.
    public init(width: Int, height: Int, pixels: [UInt8]) {
        precondition(width > 0 && height > 0 && pixels.count == width * height * 3)
        self.width = width
        self.height = height
        self.pixels = pixels
    }

    /// A picture of one colour.
    init(width: Int, height: Int, filledWith colour: Colour) {
        var pixels = [UInt8](repeating: colour.red, count: width * height * 3)
        if colour.green != colour.red || colour.blue != colour.red {
            for position in stride(from: 0, to: pixels.count, by: 3) {
                pixels[position + 1] = colour.green
                pixels[position + 2] = colour.blue
            }
        }
        self.init(width: width, height: height, pixels: pixels)
    }

    /// The top left corner of the picture.
    /// - Precondition: the new size is positive and within the old.
    func cropped(width newWidth: Int, height newHeight: Int) -> RGBImage {
        precondition(newWidth > 0 && newWidth <= width && newHeight > 0 && newHeight <= height)
        if newWidth == width && newHeight == height { return self }
        var rows: [UInt8] = []
        rows.reserveCapacity(newWidth * newHeight * 3)
        for row in 0..<newHeight {
            rows.append(contentsOf: pixels[row * width * 3..<(row * width + newWidth) * 3])
        }
        return RGBImage(width: newWidth, height: newHeight, pixels: rows)
    }
}

/// One opaque colour, 8 bits a channel.
public struct Colour: Sendable, Hashable {
    /// The red channel.
    public var red: UInt8
    /// The green channel.
    public var green: UInt8
    /// The blue channel.
    public var blue: UInt8

    /// A colour from its channels.
    public init(red: UInt8, green: UInt8, blue: UInt8) {
        self.red = red
        self.green = green
        self.blue = blue
    }

    /// Black.
    public static let black = Colour(red: 0, green: 0, blue: 0)
    /// White.
    public static let white = Colour(red: 255, green: 255, blue: 255)

    /// A colour from `#RRGGBB`, or nil where the text is anything else.
    public init?(hexadecimal text: String) {
        let bytes = Array(text.utf8)
        guard bytes.count == 7, bytes[0] == UInt8(ascii: "#"),
            bytes.dropFirst().allSatisfy({ Character(Unicode.Scalar($0)).isHexDigit }),
            let value = UInt32(text.dropFirst(), radix: 16)
        else { return nil }
        self.init(
            red: UInt8(value >> 16), green: UInt8(value >> 8 & 255), blue: UInt8(value & 255))
    }

    /// The colour as `#RRGGBB`.
    public var hexadecimal: String {
        let value = String(UInt32(red) << 16 | UInt32(green) << 8 | UInt32(blue), radix: 16, uppercase: true)
        return "#" + String(repeating: "0", count: 6 - value.count) + value
    }
}
