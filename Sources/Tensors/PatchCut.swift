//! How an image becomes patches: its sizes before and after resizing, and what its bytes become.

/// What `Backend.cutPatches` does with an image of one size.
///
/// The image is resized to `resizedWidth x resizedHeight` as `ResamplingAxis` says, columns first, each pass
/// rounding to bytes. A patch is a row of `channels x frames x patchSize x patchSize` floats, in that order;
/// the frames of a still image are equal. Patches of one visual token (`mergeSize x mergeSize` of them, row
/// by row) follow each other, and the tokens follow each other row by row.
public struct PatchCut: Sendable {
    public let width: Int
    public let height: Int
    /// Whole visual tokens: a multiple of `patchSize * mergeSize`.
    public let resizedWidth: Int
    /// Likewise.
    public let resizedHeight: Int
    public let patchSize: Int
    public let mergeSize: Int
    public let frameCount: Int
    /// What each byte of each channel becomes: `[3: red, green, blue][256]`.
    public let normalised: [Float]

    /// Precondition: all sizes are positive, the resized ones whole tokens; `normalised` has `3 x 256`
    /// values.
    public init(
        width: Int, height: Int, resizedWidth: Int, resizedHeight: Int, patchSize: Int, mergeSize: Int,
        frameCount: Int, normalised: [Float]
    ) {
        precondition(width > 0 && height > 0 && patchSize > 0 && mergeSize > 0 && frameCount > 0)
        precondition(resizedWidth > 0 && resizedWidth % (patchSize * mergeSize) == 0)
        precondition(resizedHeight > 0 && resizedHeight % (patchSize * mergeSize) == 0)
        precondition(normalised.count == 3 * 256)
        self.width = width
        self.height = height
        self.resizedWidth = resizedWidth
        self.resizedHeight = resizedHeight
        self.patchSize = patchSize
        self.mergeSize = mergeSize
        self.frameCount = frameCount
        self.normalised = normalised
    }

    public var columns: ResamplingAxis { ResamplingAxis(inputs: width, outputs: resizedWidth) }
    public var rows: ResamplingAxis { ResamplingAxis(inputs: height, outputs: resizedHeight) }

    /// Patches from left to right.
    public var gridWidth: Int { resizedWidth / patchSize }
    /// Patches from top to bottom.
    public var gridHeight: Int { resizedHeight / patchSize }
    public var patchCount: Int { gridWidth * gridHeight }
    /// Rows and columns of the grid in all.
    public var sideCount: Int { gridHeight + gridWidth }
    /// Floats of one patch.
    public var patchElementCount: Int { 3 * frameCount * patchSize * patchSize }

    /// Where a patch of the grid comes in the order of patches.
    public func patchIndex(row: Int, column: Int) -> Int {
        let token = row / mergeSize * (gridWidth / mergeSize) + column / mergeSize
        return token * mergeSize * mergeSize + row % mergeSize * mergeSize + column % mergeSize
    }
}
