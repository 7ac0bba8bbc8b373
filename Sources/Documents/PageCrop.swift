//! What happens to a drawn page before a model sees it: scaling and cropping.

/// Scales a page horizontally and cuts away its empty right side and, on the last page, its empty bottom.
struct PageCrop {
    private let settings: PageSettings
    private let isLastPage: Bool

    /// By how much a pixel's grey must differ from the background's to count as ink.
    private static let tolerance = 5.0

    init(_ settings: PageSettings, isLastPage: Bool) {
        self.settings = settings
        self.isLastPage = isLastPage
    }

    func apply(to page: RGBImage) -> RGBImage {
        var image = page
        if settings.horizontalScale != 1 {
            let width = max(1, Int(Double(page.width) * settings.horizontalScale))
            image = page.resized(toWidth: width)
        }
        let cropsHeight = settings.autoCropLastPage && isLastPage
        guard settings.autoCropWidth || cropsHeight else { return image }
        let (lastColumn, lastRow) = lastInk(of: image)
        var width = image.width
        var height = image.height
        if settings.autoCropWidth, let lastColumn {
            width = min(width, Int((Double(lastColumn + 1) + settings.marginX).rounded(.toNearestOrEven)))
        }
        if cropsHeight, let lastRow {
            // The row itself is not counted in, unlike the column: Glyph's pages are cut so.
            height = min(height, max(1, Int((Double(lastRow) + settings.marginY).rounded(.toNearestOrEven))))
        }
        return image.cropped(width: width, height: height)
    }

    private func lastInk(of image: RGBImage) -> (column: Int?, row: Int?) {
        let background = backgroundGrey(of: image)
        var lastColumn = -1
        var lastRow = -1
        for row in 0..<image.height {
            // Columns right of the rightmost so far settle the column; if none has ink, any other settles
            // the row.
            var column = image.width - 1
            while column >= 0 {
                if abs(Double(image.grey(column, row)) - background) > Self.tolerance {
                    lastRow = row
                    lastColumn = max(lastColumn, column)
                    break
                }
                column -= 1
            }
        }
        return (lastColumn < 0 ? nil : lastColumn, lastRow < 0 ? nil : lastRow)
    }

    /// The median grey of the two by two pixels in the top left corner.
    private func backgroundGrey(of image: RGBImage) -> Double {
        var corner: [Double] = []
        for row in 0..<min(2, image.height) {
            for column in 0..<min(2, image.width) { corner.append(Double(image.grey(column, row))) }
        }
        corner.sort()
        let middle = corner.count / 2
        return corner.count % 2 == 0 ? (corner[middle - 1] + corner[middle]) / 2 : corner[middle]
    }
}

extension RGBImage {
    /// The luma of a pixel by ITU-R 601-2, in the fixed-point form that PIL uses.
    func grey(_ column: Int, _ row: Int) -> UInt8 {
        let position = (row * width + column) * 3
        let sum =
            Int(pixels[position]) * 19_595 + Int(pixels[position + 1]) * 38_470 + Int(pixels[position + 2])
            * 7_471
        return UInt8((sum + 0x8000) >> 16)
    }

    /// The picture resized horizontally by bicubic convolution (a = -0.5), widened for reduction, as PIL
    /// resizes.
    func resized(toWidth newWidth: Int) -> RGBImage {
        let ratio = Double(width) / Double(newWidth)
        let stretch = max(ratio, 1)
        let support = 2 * stretch
        var taps: [(first: Int, weights: [Double])] = []
        for column in 0..<newWidth {
            let centre = (Double(column) + 0.5) * ratio
            let first = max(0, Int(centre - support + 0.5))
            let end = min(width, Int(centre + support + 0.5))
            var weights = (first..<end).map { Self.cubic((Double($0) + 0.5 - centre) / stretch) }
            let sum = weights.reduce(0, +)
            for index in weights.indices { weights[index] /= sum }
            taps.append((first, weights))
        }
        var result = [UInt8](repeating: 0, count: newWidth * height * 3)
        for row in 0..<height {
            for (column, tap) in taps.enumerated() {
                for channel in 0..<3 {
                    var sum = 0.5
                    var position = (row * width + tap.first) * 3 + channel
                    for weight in tap.weights {
                        sum += weight * Double(pixels[position])
                        position += 3
                    }
                    result[(row * newWidth + column) * 3 + channel] = UInt8(min(max(sum, 0), 255))
                }
            }
        }
        return RGBImage(width: newWidth, height: height, pixels: result)
    }

    private static func cubic(_ distance: Double) -> Double {
        let x = abs(distance)
        let a = -0.5
        if x < 1 { return ((a + 2) * x - (a + 3)) * x * x + 1 }
        if x < 2 { return (((x - 5) * x + 8) * x - 4) * a }
        return 0
    }
}
