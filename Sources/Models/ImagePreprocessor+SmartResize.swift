//! The size an image is given before it is cut into patches.

extension ImagePreprocessor {
    /// Rounds the sides to whole visual tokens, and scales an image that has too few or too many pixels.
    ///
    /// The same arithmetic as the reference's `smart_resize`: doubles, halves rounded to even, and limits on
    /// frames x height x width, where a still image counts `temporalPatchSize` frames.
    func smartResize(_ size: PixelSize) throws(ImagePreprocessorError) -> PixelSize {
        guard size.width > 0, size.height > 0 else {
            throw .emptyImage(width: size.width, height: size.height)
        }
        guard max(size.width, size.height) <= Self.maximumSide else {
            throw .sideTooLong(width: size.width, height: size.height, limit: Self.maximumSide)
        }
        let factor = Double(patchSize * mergeSize)
        let frames = Double(frameCount)
        var height = Double(size.height)
        var width = Double(size.width)
        if min(height, width) < factor {
            let scale = max(factor / height, factor / width)
            height = (height * scale).rounded(.towardZero)
            width = (width * scale).rounded(.towardZero)
        }
        guard max(height, width) / min(height, width) <= Double(Self.maximumAspectRatio) else {
            throw .aspectRatioTooLarge(width: size.width, height: size.height, limit: Self.maximumAspectRatio)
        }

        var resizedHeight = (height / factor).rounded(.toNearestOrEven) * factor
        var resizedWidth = (width / factor).rounded(.toNearestOrEven) * factor
        let volume = frames * resizedHeight * resizedWidth
        if volume > Double(maximumPixels) {
            let shrink = (frames * height * width / Double(maximumPixels)).squareRoot()
            resizedHeight = max(factor, (height / shrink / factor).rounded(.down) * factor)
            resizedWidth = max(factor, (width / shrink / factor).rounded(.down) * factor)
        } else if volume < Double(minimumPixels) {
            let growth = (Double(minimumPixels) / (frames * height * width)).squareRoot()
            resizedHeight = (height * growth / factor).rounded(.up) * factor
            resizedWidth = (width * growth / factor).rounded(.up) * factor
        }
        // The doubles are below 2^53 here: sides of at most 2^28 and a growth of at most 2^20.
        return try checked(PixelSize(width: Int(resizedWidth), height: Int(resizedHeight)))
    }

    private func checked(_ size: PixelSize) throws(ImagePreprocessorError) -> PixelSize {
        guard max(size.width, size.height) <= Self.maximumSide else {
            throw .sideTooLong(width: size.width, height: size.height, limit: Self.maximumSide)
        }
        guard size.width * size.height <= Self.maximumArea else {
            throw .areaTooLarge(width: size.width, height: size.height, limit: Self.maximumArea)
        }
        return size
    }
}
