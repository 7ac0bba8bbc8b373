//! Every limit on the sizes of images, in one place.

/// What an image may ask for, checked before memory is taken for it. What a model file may ask for is
/// `ConfigurationLimits`.
extension ImagePreprocessor {
    /// The largest side of an image, before and after resizing; no image format in use goes beyond it.
    static let maximumSide = 65_535
    /// The most pixels an image may have after resizing, whatever the model file asks for.
    static let maximumArea = 1 << 28
    /// The longest side an image may have, in units of its shorter side.
    static let maximumAspectRatio = 200
}
