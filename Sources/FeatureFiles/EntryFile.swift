//! An entry's file, read and written.

extension Descriptor {
    /// Reads an entry of the image and shape that are expected, run by run; false where the file is not that
    /// entry, whole and undamaged. `lend` is as for `FeatureFolder.read`.
    ///
    /// The file's size and its head are checked first, so that one that is not what it should be takes no
    /// memory and costs no reading.
    func readEntry(
        _ image: UInt128, _ shape: FeatureShape, fileByteCount: Int,
        lend: (Range<Int>, (UnsafeMutableRawBufferPointer) -> Void) -> Void
    ) -> Bool {
        guard fileByteCount == shape.fileByteCount, let bytes = bytes(at: 0, count: EntryHead.byteCount),
            let head = EntryHead(bytes, image: image, shape: shape)
        else { return false }
        var checksum = EntryChecksum()
        for rows in shape.runs {
            var isRead = false
            unsafe lend(rows) { buffer in
                guard buffer.count == rows.count * shape.rowByteCount else { return }
                isRead = unsafe read(
                    at: EntryHead.byteCount + rows.lowerBound * shape.rowByteCount, into: buffer)
                unsafe checksum.add(UnsafeRawBufferPointer(buffer))
            }
            guard isRead else { return false }
        }
        return checksum.value == head.checksum
    }

    /// Writes an entry run by run; false where the file does not take it. `lend` is as for
    /// `FeatureFolder.write`.
    func writeEntry<E: Error>(
        _ image: UInt128, _ shape: FeatureShape,
        lend: (Range<Int>, (UnsafeRawBufferPointer) -> Void) throws(E) -> Void
    ) throws(E) -> Bool {
        var checksum = EntryChecksum()
        for rows in shape.runs {
            var isWritten = false
            try unsafe lend(rows) { bytes in
                precondition(bytes.count == rows.count * shape.rowByteCount)
                unsafe checksum.add(bytes)
                isWritten = unsafe write(
                    bytes, at: EntryHead.byteCount + rows.lowerBound * shape.rowByteCount)
            }
            guard isWritten else { return false }
        }
        // The head comes last: without it, there is no entry.
        let head = EntryHead(image: image, shape: shape, checksum: checksum.value)
        return write(head.encoded, at: 0)
    }
}
