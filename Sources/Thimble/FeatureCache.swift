//! The features of images, shared by the sessions of an engine: in memory, on disk, or else computed.

internal import Documents
internal import FeatureFiles
internal import Models
internal import Tensors

/// Where an image's features were found.
enum FeatureSource { case memory, disk }

/// How much is kept of what the vision tower has made of images.
struct FeatureAllowance {
    /// The most visual tokens in memory: those of the largest image at least.
    let tokens: Int
    /// The most bytes on disk.
    let diskByteCount: Int
    /// Where those lie; nil for the usual place.
    let folder: String?
}

/// What the vision tower has made of images, by the number of each image.
///
/// In memory as on disk the number is trusted, and images are not compared: the pixels of a page may be more
/// than its features, and would have to be kept for that as long as they. What a number rests on says
/// `ImageNumbering`.
final class FeatureCache {
    let store: VisualFeatureStore
    private let backend: any Backend
    /// Numbers of a visual token.
    private let columns: Int
    /// What lies on disk; nil where nothing does.
    private let folder: FeatureFolder?
    private let numbering: ImageNumbering
    /// The number of what decides, beside the image, what its features are.
    private let model: UInt128

    /// `origin` tells the model, its settings and what computes from all others.
    init(
        _ allowance: FeatureAllowance, for model: Glm4v, origin: [UInt8]
    ) throws(ModelError) {
        columns = model.configuration.text.hiddenSize
        store = try VisualFeatureStore(columns: columns, capacity: allowance.tokens, on: model.featureBackend)
        backend = model.featureBackend
        let path = allowance.folder ?? CacheFolder.path().map { "\($0)/features" }
        folder =
            allowance.diskByteCount > 0
            ? path.flatMap { FeatureFolder(path: $0, limit: allowance.diskByteCount) } : nil
        numbering = folder?.numbering ?? ImageNumbering()
        self.model = numbering.number(of: origin)
    }

    /// Whether features are kept on disk.
    var hasFolder: Bool { folder != nil }

    /// The features of an image that becomes `grid`, wherever they are.
    func features(of image: RGBImage, grid: ImageGrid) -> VisualFeatures {
        let number = numbering.number(
            of: image.pixels.span, width: image.width, height: image.height, for: model)
        return VisualFeatures(of: number, grid: grid, in: store)
    }

    /// Holds features that are in memory, or on disk, from where they are brought; nil where they are to be
    /// computed.
    ///
    /// Precondition: there is room for them.
    func find(_ features: VisualFeatures) -> FeatureSource? {
        if store.hold(features) {
            folder?.touch(features.image)
            return .memory
        }
        return read(features) ? .disk : nil
    }

    /// Keeps features on disk, too, that have been computed, and are held. Throws a fault of the device.
    func keep(_ features: VisualFeatures) throws(BackendError) {
        guard let folder else { return }
        let values = features.values
        try unsafe folder.write(features.image, shape(of: features)) { (rows, take) throws(BackendError) in
            try unsafe backend.read(values.rows(rows)) { unsafe take(UnsafeRawBufferPointer($0)) }
        }
    }

    private func shape(of features: VisualFeatures) -> FeatureShape {
        FeatureShape(height: features.grid.height, width: features.grid.width, columns: columns)
    }

    /// Reads features from disk, and holds them; false where they are not there.
    private func read(_ features: VisualFeatures) -> Bool {
        guard let folder else { return false }
        let values = store.add(features)
        let isRead = unsafe folder.read(features.image, shape(of: features)) { rows, fill in
            let run = values.rows(rows)
            let bytes = run.offset..<run.offset + run.rows * run.columns * 4
            unsafe backend.fill(run.memory, bytes) { unsafe fill($0) }
        }
        if !isRead { store.remove(features) }
        return isRead
    }
}

/// Features that a prompt needs until its images have gone through the decoder: their store keeps them as
/// long as these hold them.
struct HeldFeatures: ~Copyable {
    private var spans: [InputSequence.ImageSpan] = []

    var isEmpty: Bool { spans.isEmpty }

    /// Takes over features that are held once for it.
    mutating func append(_ span: InputSequence.ImageSpan) { spans.append(span) }

    /// Lets go of those of images that end at `position` or before.
    mutating func release(upTo position: Int = .max) {
        for span in spans where span.end <= position { span.features.release() }
        spans.removeAll { $0.end <= position }
    }

    deinit { for span in spans { span.features.release() } }
}
