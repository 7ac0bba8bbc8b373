//! Fuzzes the image decoders; a format each by its seeds.

@testable import Documents

/// Input: the file.
struct ImageTarget: FuzzTarget {
    private let limits = ImageLimits(maxWidth: 512, maxHeight: 512, maxPixels: 1 << 16)
    private let prepare: ([UInt8]) -> [UInt8]

    /// - Parameter preparing: mends what mutations break and cannot guess.
    init(preparing prepare: @escaping ([UInt8]) -> [UInt8] = { $0 }) { self.prepare = prepare }

    func run(_ input: [UInt8]) -> Bool {
        guard let image = try? RGBImage(decoding: prepare(input), limits: limits) else { return false }
        expect(
            image.width > 0 && image.height > 0 && image.width <= limits.maxWidth
                && image.height <= limits.maxHeight && image.width * image.height <= limits.maxPixels,
            "\(image.width) x \(image.height) pixels are beyond the limits")
        expect(image.pixels.count == image.width * image.height * 3, "pixels are missing")
        // Encoding is slow, and small pictures have all its cases.
        guard image.width * image.height <= 256 else { return false }
        let again = (try? image.encodedPNG()).flatMap { try? RGBImage(decoding: $0) }
        expect(again == image, "a picture changes when it is written and read")
        return true
    }
}
