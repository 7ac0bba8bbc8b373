//! One font face, through FreeType: character map, advances and glyph bitmaps.

import CFreeType

/// A glyph's coverage of pixels, and where it lies about the pen.
struct GlyphBitmap {
    /// Columns from the pen to the left edge.
    var left = 0
    /// Rows from the baseline up to the top edge.
    var top = 0
    var width = 0
    var height = 0
    /// `[height, width]` coverage, 0 to 255.
    var coverage: [UInt8] = []
}

/// FreeType's loading options, which its header spells as expressions that Swift does not import.
private enum LoadFlags {
    static let standard: Int32 = 0
    static let unscaled: Int32 = 1 << 0
    static let unhinted: Int32 = 1 << 1
    static let withoutBitmaps: Int32 = 1 << 3
}

/// An open font face. It holds FreeType's state and is not to be shared between threads.
@safe final class FontFace {
    /// The path it was opened from, for messages.
    let path: String
    private let library: FT_Library
    private let face: FT_Face
    /// The font file, which FreeType reads from as long as the face is open. It is no mapping: a file that
    /// is cut short underneath one would end the process by a signal.
    private let file: HostBuffer
    /// Font units to thousandths of an em.
    private let unitScale: Double
    private let isScaledToEm: Bool
    private var pixelSize = 0.0

    init(path: String, index: Int) throws(DocumentError) {
        let bytes = try FontFile.contents(of: path)
        let file = try HostBuffer(byteCount: bytes.count, for: "the font \(path)")
        unsafe file.bytes.copyBytes(from: bytes)
        var library: FT_Library?
        guard unsafe FT_Init_FreeType(&library) == 0, let opened = unsafe library else {
            throw DocumentError(.outOfMemory, "the font engine did not start")
        }
        var face: FT_Face?
        let status = unsafe FT_New_Memory_Face(
            opened, file.bytes.baseAddress, FT_Long(bytes.count), FT_Long(index), &face)
        guard status == 0, let loaded = unsafe face else {
            unsafe FT_Done_FreeType(opened)
            let isMemory = status == FT_Error(FT_Err_Out_Of_Memory)
            throw DocumentError(
                isMemory ? .outOfMemory : .font,
                "font \(path), face \(index), cannot be opened (FreeType error \(status))")
        }
        let unitsPerEm = unsafe Int(loaded.pointee.units_per_EM)
        guard unsafe loaded.pointee.face_flags & 1 != 0, unitsPerEm > 0, unsafe loaded.pointee.charmap != nil
        else {
            unsafe FT_Done_Face(loaded)
            unsafe FT_Done_FreeType(opened)
            throw DocumentError(
                .font, "font \(path), face \(index), has no outlines or no Unicode character map")
        }
        self.path = path
        unsafe self.library = opened
        unsafe self.face = loaded
        self.file = file
        isScaledToEm = unitsPerEm == 1000
        unitScale = 1000 / Double(unitsPerEm)
    }

    deinit {
        unsafe FT_Done_Face(face)
        unsafe FT_Done_FreeType(library)
    }

    /// The number of a character's glyph; zero where the font lacks it.
    func glyph(for scalar: UInt32) -> UInt32 {
        unsafe FT_Get_Char_Index(face, FT_ULong(scalar))
    }

    /// The unhinted advance in thousandths of an em.
    func advance(of glyph: UInt32) -> Double {
        guard unsafe FT_Load_Glyph(face, glyph, LoadFlags.unscaled) == 0 else { return 0 }
        let units = unsafe Double(face.pointee.glyph.pointee.metrics.horiAdvance)
        return isScaledToEm ? units : units * unitScale
    }

    /// The hinted advance in whole pixels at a size in pixels per em.
    func hintedAdvance(of glyph: UInt32, pixelSize: Double) -> Int {
        setPixelSize(pixelSize)
        guard unsafe FT_Load_Glyph(face, glyph, LoadFlags.standard) == 0 else { return 0 }
        return unsafe (Int(face.pointee.glyph.pointee.metrics.horiAdvance) + 32) >> 6
    }

    /// The ascender in whole pixels at a size in pixels per em.
    func ascender(pixelSize: Double) -> Int {
        setPixelSize(pixelSize)
        return unsafe (Int(face.pointee.size.pointee.metrics.ascender) + 32) >> 6
    }

    /// The height in whole pixels of the box around all glyphs, with a margin of three, as poppler's glyph
    /// cache reckons it.
    func boxHeight(pixelSize: Double) -> Int {
        let box = unsafe face.pointee.bbox
        let perUnit = unsafe pixelSize / Double(face.pointee.units_per_EM)
        return Int(Double(box.yMax) * perUnit) - Int(Double(box.yMin) * perUnit) + 3
    }

    /// A glyph's bitmap, or nil where the font has nothing that can be drawn for it.
    /// - Parameter quarter: the pen's position right of the pixel's edge, in quarters; unused where hinted.
    func bitmap(of glyph: UInt32, pixelSize: Double, quarter: Int, hinted: Bool) -> GlyphBitmap? {
        setPixelSize(pixelSize)
        let flags = hinted ? LoadFlags.standard : LoadFlags.unhinted | LoadFlags.withoutBitmaps
        guard unsafe FT_Load_Glyph(face, glyph, flags) == 0 else { return nil }
        let slot: FT_GlyphSlot = unsafe face.pointee.glyph
        if unsafe slot.pointee.format == FT_GLYPH_FORMAT_OUTLINE {
            guard unsafe Self.isDrawable(&slot.pointee.outline) else { return nil }
            if !hinted { unsafe FT_Outline_Translate(&slot.pointee.outline, FT_Pos(quarter * 16), 0) }
            guard unsafe FT_Render_Glyph(slot, FT_RENDER_MODE_NORMAL) == 0 else { return nil }
        }
        let bitmap = unsafe slot.pointee.bitmap
        guard unsafe bitmap.pixel_mode == UInt8(FT_PIXEL_MODE_GRAY.rawValue) else { return nil }
        let width = unsafe Int(bitmap.width)
        let height = unsafe Int(bitmap.rows)
        var coverage: [UInt8] = []
        coverage.reserveCapacity(width * height)
        for row in 0..<height {
            guard let buffer = unsafe bitmap.buffer else { break }
            let start = unsafe buffer + row * Int(bitmap.pitch)
            unsafe coverage.append(contentsOf: UnsafeBufferPointer(start: start, count: width))
        }
        guard coverage.count == width * height else { return nil }
        return unsafe GlyphBitmap(
            left: Int(slot.pointee.bitmap_left), top: Int(slot.pointee.bitmap_top), width: width,
            height: height,
            coverage: coverage)
    }

    /// Whether the pixels about an outline keep to the limit: a broken font may spread one over a square
    /// mile.
    private static func isDrawable(_ outline: inout FT_Outline) -> Bool {
        var box = FT_BBox()
        unsafe FT_Outline_Get_CBox(&outline, &box)
        let width = Double(box.xMax - box.xMin) / 64 + 2
        let height = Double(box.yMax - box.yMin) / 64 + 2
        return width * height <= Double(DocumentLimits.maxGlyphPixels)
    }

    private func setPixelSize(_ size: Double) {
        guard size != pixelSize else { return }
        unsafe FT_Set_Char_Size(face, 0, FT_F26Dot6((size * 64).rounded()), 72, 72)
        pixelSize = size
    }
}
