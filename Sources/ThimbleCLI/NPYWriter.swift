//! Arrays as NumPy reads them: NPY format version 1.0 (numpy.lib.format).

import Thimble

/// Writes a float32 matrix row by row, little-endian, in C order. The number of rows is known at the end.
struct NPYWriter: ~Copyable {
    private let file: ReplacingFile
    private let columns: Int
    private var count = 0
    private static let headerByteCount = 128

    /// `columns` values make a row.
    init(path: String, columns: Int) throws(ThimbleError) {
        file = try ReplacingFile(path: path)
        self.columns = columns
    }

    /// Writes whole rows.
    mutating func append(_ rows: UnsafeBufferPointer<Float>) throws(ThimbleError) {
        #if _endian(big)
            #error("values are written as they lie in memory, and NPY's '<f4' is little-endian")
        #endif
        try unsafe file.write(UnsafeRawBufferPointer(rows), at: Self.headerByteCount + count * 4)
        count += rows.count
    }

    /// Writes the header and gives the file its name; returns the rows written.
    consuming func commit() throws(ThimbleError) -> Int {
        let rows = count / columns
        try file.write(Self.header(rows: rows, columns: columns), at: 0)
        try file.commit()
        return rows
    }

    /// Magic, version, length, then a dictionary padded with spaces to 128 bytes in all.
    static func header(rows: Int, columns: Int) -> [UInt8] {
        let dictionary = "{'descr': '<f4', 'fortran_order': False, 'shape': (\(rows), \(columns)), }"
        let prefix = [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(headerByteCount - 10), 0]
        let padding = headerByteCount - prefix.count - dictionary.utf8.count - 1
        return prefix + Array(dictionary.utf8) + [UInt8](repeating: 0x20, count: padding) + [0x0A]
    }
}
