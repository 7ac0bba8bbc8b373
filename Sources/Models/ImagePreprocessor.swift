//! Turns the pixels of one image into the normalised patches that the vision tower takes.

public import ModelFile

/// An image's extent in pixels.
struct PixelSize: Sendable, Equatable {
    var width: Int
    var height: Int
}

/// Resizes, normalises and flattens images as the reference's `Glm4vImageProcessor` and
/// `Glm46VImageProcessor` do: the bytes between resizing and normalising are the same.
///
/// A patch is a row of `channelCount x temporalPatchSize x patchSize x patchSize` floats, in that order; the
/// frames of a still image are equal. Patches of one visual token (`mergeSize x mergeSize` of them, row by
/// row) follow each other, and the tokens follow each other row by row.
public struct ImagePreprocessor: Sendable {
    let patchSize: Int
    let frameCount: Int
    let mergeSize: Int
    let minimumPixels: Int
    let maximumPixels: Int
    /// What each byte of each channel becomes; 256 values for red, then for green, then for blue.
    let normalised: [Float]

    /// The largest side of an image, before and after resizing; no image format in use goes beyond it.
    static let maximumSide = 65_535
    /// The most pixels an image may have after resizing, whatever the model file asks for.
    static let maximumArea = 1 << 28

    /// Takes a model's settings.
    /// - Throws: `ImagePreprocessorError.unusableSettings`, for a model file may hold anything.
    public init(
        settings: ImageSettings, vision: VisionConfiguration
    ) throws(ImagePreprocessorError) {
        func require(_ condition: Bool, _ what: String) throws(ImagePreprocessorError) {
            if !condition { throw .unusableSettings(what) }
        }
        try require(
            (1...256).contains(vision.patchSize), "the patch size is \(vision.patchSize), not 1...256")
        try require((1...16).contains(vision.mergeSize), "the merge size is \(vision.mergeSize), not 1...16")
        try require(
            (1...16).contains(vision.temporalPatchSize),
            "the temporal patch size is \(vision.temporalPatchSize), not 1...16")
        try require(vision.channelCount == 3, "the vision tower takes \(vision.channelCount) channels, not 3")
        try require(
            settings.minimumPixels >= 1 && settings.maximumPixels >= settings.minimumPixels
                && settings.maximumPixels <= 1 << 40,
            "the limits on pixels are \(settings.minimumPixels) and \(settings.maximumPixels)")
        try require(
            settings.mean.count == 3 && settings.standardDeviation.count == 3,
            "there are \(settings.mean.count) means and \(settings.standardDeviation.count) deviations, not 3"
        )
        try require(
            settings.mean.allSatisfy(\.isFinite)
                && settings.standardDeviation.allSatisfy { $0.isFinite && $0 > 0 },
            "a mean or a deviation is no finite number, or a deviation is not above 0")
        patchSize = vision.patchSize
        frameCount = vision.temporalPatchSize
        mergeSize = vision.mergeSize
        minimumPixels = settings.minimumPixels
        maximumPixels = settings.maximumPixels
        // The reference scales mean and deviation by 255, rather than the pixels by 1/255.
        normalised = zip(settings.mean, settings.standardDeviation).flatMap { mean, deviation in
            (0...255).map { (Float($0) - mean * 255) / (deviation * 255) }
        }
    }

    /// Floats of one patch.
    public var patchElementCount: Int { 3 * frameCount * patchSize * patchSize }

    /// The grid that an image of `width x height` pixels is cut into after resizing: `writePatches` needs
    /// room for its `count` rows.
    public func grid(width: Int, height: Int) throws(ImagePreprocessorError) -> ImageGrid {
        grid(of: try smartResize(PixelSize(width: width, height: height)))
    }

    /// Bytes of host memory that `writePatches` holds while it works on an image of `width x height` pixels,
    /// pixels and patches not counted.
    public func scratchByteCount(width: Int, height: Int) throws(ImagePreprocessorError) -> Int {
        let size = PixelSize(width: width, height: height)
        return Resampler(from: size, to: try smartResize(size)).scratchByteCount
    }

    private func grid(of resized: PixelSize) -> ImageGrid {
        ImageGrid(height: resized.height / patchSize, width: resized.width / patchSize)
    }

    /// Writes the patches of an image.
    /// - Parameters:
    ///   - pixels: red, green, blue bytes of each pixel, row by row without padding; `width x height x 3`.
    ///   - width: columns of the image.
    ///   - height: rows of the image.
    ///   - patches: receives `[patchCount, rowStride]` floats; what lies behind them is left alone.
    ///   - rowStride: floats from one patch to the next, at least `patchElementCount`; the surplus becomes 0.
    /// - Returns: the grid, as `grid(width:height:)` gives it.
    /// - Throws: `ImagePreprocessorError` for a size that cannot be used. Buffers too small are the caller's
    ///   fault and trap.
    @discardableResult
    public func writePatches(
        of pixels: Span<UInt8>, width: Int, height: Int, into patches: UnsafeMutableBufferPointer<Float>,
        rowStride: Int
    ) throws(ImagePreprocessorError) -> ImageGrid {
        let size = PixelSize(width: width, height: height)
        let resized = try smartResize(size)
        let grid = grid(of: resized)
        precondition(pixels.count == width * height * 3, "the pixels do not fill the image")
        precondition(rowStride >= patchElementCount, "a row of \(rowStride) floats cannot hold a patch")
        precondition(patches.count >= grid.count * rowStride, "the patches do not fit")
        unsafe clearPadding(of: patches, count: grid.count, rowStride: rowStride)
        let resampler = Resampler(from: size, to: resized)
        unsafe pixels.withUnsafeBufferPointer { source in
            unsafe resampler.forEachRow(of: source) { y, row in
                unsafe write(row: row, y: y, grid: grid, into: patches, rowStride: rowStride)
            }
        }
        return grid
    }

    private func clearPadding(of patches: UnsafeMutableBufferPointer<Float>, count: Int, rowStride: Int) {
        guard rowStride > patchElementCount else { return }
        for patch in 0..<count {
            let padding = patch * rowStride + patchElementCount..<(patch + 1) * rowStride
            unsafe patches.extracting(padding).update(repeating: 0)
        }
    }

    /// Spreads one row of resized pixels, at height `y`, over the patches that it crosses.
    private func write(
        row: UnsafeBufferPointer<UInt8>, y: Int, grid: ImageGrid,
        into patches: UnsafeMutableBufferPointer<Float>,
        rowStride: Int
    ) {
        let (patchRow, line) = y.quotientAndRemainder(dividingBy: patchSize)
        let tokenRow = patchRow / mergeSize
        let plane = patchSize * patchSize
        unsafe normalised.withUnsafeBufferPointer { table in
            for patchColumn in 0..<grid.width {
                let token = tokenRow * (grid.width / mergeSize) + patchColumn / mergeSize
                let within = patchRow % mergeSize * mergeSize + patchColumn % mergeSize
                let start = (token * mergeSize * mergeSize + within) * rowStride + line * patchSize
                for channel in 0..<3 {
                    for column in 0..<patchSize {
                        let byte = unsafe row[(patchColumn * patchSize + column) * 3 + channel]
                        let value = unsafe table[channel << 8 + Int(byte)]
                        for frame in 0..<frameCount {
                            let index = start + (channel * frameCount + frame) * plane + column
                            unsafe patches[index] = value
                        }
                    }
                }
            }
        }
    }
}
