//! Where coordinates come to lie after a way through a PDF file: as ReportLab writes them and poppler reads
//! and adds them. A baseline is often a whole number of pixels in exact arithmetic (every third line at 96
//! dpi), and which pixel row it falls on is then decided by these roundings.

/// A length in points as a PDF carries it: written with seven significant digits and at most six decimals,
/// and read back digit by digit in binary.
func throughPDF(_ value: Double) -> Double {
    var decimals = 6
    var bound = 10.0
    while decimals > 0 && abs(value) >= bound {
        decimals -= 1
        bound *= 10
    }
    var unit = 1
    for _ in 0..<decimals { unit *= 10 }
    let units = Int((abs(value) * Double(unit)).rounded(.toNearestOrEven))
    var fraction = units % unit
    var read = Double(units / unit)
    var place = 0.1
    while fraction > 0 {
        unit /= 10
        read += place * Double(fraction / unit)
        fraction %= unit
        place *= 0.1
    }
    return value < 0 ? -read : read
}

/// The page's transformation from points to pixels, rows counted down from the top.
struct PageTransform {
    private let scale: Double
    private let top: Double

    init(_ settings: PageSettings) {
        scale = settings.scale
        top = settings.scale * throughPDF(settings.pageHeight)
    }

    /// The column of a point that lies `offset` right of an object at `origin`.
    func column(_ offset: Double, from origin: Double) -> Double {
        offset * scale + throughPDF(origin) * scale
    }

    /// The row of a point that lies `offset` above an object at `origin`.
    func row(_ offset: Double, from origin: Double) -> Double {
        offset * -scale + (throughPDF(origin) * -scale + top)
    }
}

/// Where a paragraph's lines start, as ReportLab moves from one to the next: the way back from a line is
/// written in the same move as the way to the next one, so that roundings add up down the paragraph.
struct LineStarts {
    private var x = 0.0
    private var wayBack: Double?

    /// The start of the next line, which is meant to lie `shift` from the paragraph's edge; 0 writes no move.
    mutating func next(_ shift: Double) -> Double {
        let moves = abs(shift) > 1e-6
        x += throughPDF((moves ? shift : 0) + (wayBack ?? 0))
        wayBack = moves ? throughPDF(-shift) : nil
        return x
    }

    /// Goes back by `shift` after the line that was started last, which did not move by it.
    mutating func takeBack(_ shift: Double) {
        wayBack = throughPDF(-shift)
    }
}
