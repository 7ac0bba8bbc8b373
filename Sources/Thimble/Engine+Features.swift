//! How much is kept of what the vision tower has made of images.

internal import ModelFile
internal import Models

extension Engine {
    /// More than any machine has, and few enough that sums of them are numbers. Bytes.
    private static let mostFeatureBytes = 1 << 50

    /// Throws `invalidArgument` for sizes that cannot be.
    static func checkFeatureSizes(_ options: EngineOptions) throws(ThimbleError) {
        for size in [options.featureMemory, options.featureDisk].compactMap({ $0 }) {
            guard (0...mostFeatureBytes).contains(size) else {
                throw ThimbleError(
                    .invalidArgument, "\(size) bytes for features; it must be in 0...\(mostFeatureBytes)")
            }
        }
    }

    /// Whether features were to be kept on disk, and the folder for them cannot be used. Known once an image
    /// has come.
    public var isFeatureFolderUnusable: Bool {
        guard featureAllowance.diskByteCount > 0, let openedFeatures else { return false }
        return !openedFeatures.hasFolder
    }
}
