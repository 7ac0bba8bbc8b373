//! Why an image cannot be turned into patches.

/// A fault of an image or of a model's image settings.
public enum ImagePreprocessorError: Error, Equatable, CustomStringConvertible {
    /// A side is 0 or less.
    case emptyImage(width: Int, height: Int)
    /// The longer side is more than `limit` times the shorter one.
    case aspectRatioTooLarge(width: Int, height: Int, limit: Int)
    /// The image is wider or higher than `limit` pixels, or would be after resizing.
    case sideTooLong(width: Int, height: Int, limit: Int)
    /// After resizing, the image would have more than `limit` pixels.
    case areaTooLarge(width: Int, height: Int, limit: Int)
    /// The model file's settings cannot be meant.
    case unusableSettings(String)

    public var description: String {
        switch self {
        case .emptyImage(let width, let height):
            "the image is \(width) x \(height) pixels: there is nothing to see"
        case .aspectRatioTooLarge(let width, let height, let limit):
            "the image is \(width) x \(height) pixels: its longer side may be at most \(limit) times the "
                + "shorter one; crop it or cut it into pieces"
        case .sideTooLong(let width, let height, let limit):
            "the image would be \(width) x \(height) pixels: a side may have at most \(limit)"
        case .areaTooLarge(let width, let height, let limit):
            "the image would be resized to \(width) x \(height) pixels, more than \(limit) in all"
        case .unusableSettings(let what):
            "the model file's image settings are unusable: \(what)"
        }
    }
}
