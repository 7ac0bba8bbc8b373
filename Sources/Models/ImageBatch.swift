//! Images that go through the vision tower together.

internal import Memory
public import Tensors

/// Some images whose features are asked for, in order. Once it is made it takes no memory: what was computed
/// is taken out, and others come in.
public struct ImageBatch {
    struct Image {
        /// Red, green and blue, row by row without padding.
        let pixels: [UInt8]
        let cut: PatchCut
        let features: VisualFeatures
    }

    static let mostImages = Plan.mostImagesTogether

    private(set) var images: [Image] = []
    /// Where the patches of each image begin among those of all, and at last where all end.
    private(set) var bounds = [0]
    /// The most patches of all images, but for an image that is alone.
    private let patchCapacity: Int

    /// The features of which image is meant.
    public subscript(index: Int) -> VisualFeatures { images[index].features }
    public var count: Int { images.count }
    public var isEmpty: Bool { images.isEmpty }
    /// Patches of all images.
    var patchCount: Int { bounds[bounds.count - 1] }
    /// Visual tokens of all images.
    var tokenCount: Int { images.reduce(0) { $0 + $1.features.grid.count } }

    /// The rows of an image among those of all.
    func rows(of index: Int) -> Range<Int> { bounds[index]..<bounds[index + 1] }

    init(patchCapacity: Int) {
        self.patchCapacity = patchCapacity
        images.reserveCapacity(Self.mostImages)
        bounds.reserveCapacity(Self.mostImages + 1)
    }

    /// Whether an image that is cut so can join, or be the first.
    public func hasRoom(for cut: PatchCut) -> Bool {
        isEmpty || count < Self.mostImages && patchCount + cut.patchCount <= patchCapacity
    }

    /// Adds an image. Precondition: there is room for it, its features are in no store and those of no image
    /// before it, and `pixels` are `width x height x 3` of the cut.
    public mutating func append(_ pixels: [UInt8], _ cut: PatchCut, as features: VisualFeatures) {
        precondition(hasRoom(for: cut) && !has(features))
        precondition(pixels.count == cut.width * cut.height * 3)
        let merge = cut.mergeSize
        precondition(
            features.grid == ImageGrid(height: cut.gridHeight / merge, width: cut.gridWidth / merge))
        images.append(Image(pixels: pixels, cut: cut, features: features))
        bounds.append(patchCount + cut.patchCount)
    }

    /// Whether these features will come of an image of the batch.
    public func has(_ features: VisualFeatures) -> Bool {
        images.contains { $0.features.image == features.image }
    }

    /// Takes all images out.
    public mutating func removeAll() {
        images.removeAll(keepingCapacity: true)
        bounds.removeSubrange(1...)
    }
}
