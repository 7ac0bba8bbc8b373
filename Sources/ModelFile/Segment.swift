//! A segment of an open model file, and where its blocks lie.

/// One segment of an open model file. Every number in it has been checked against the file.
public struct Segment: Sendable {
    /// One block: where it is stored, and where it goes.
    public struct Block: Sendable, Equatable {
        /// Offset of the stored bytes in the file.
        public let fileOffset: Int
        /// Bytes in the file.
        public let storedByteCount: Int
        /// Offset of the raw bytes in the segment's raw image.
        public let imageOffset: Int
        /// Bytes in the raw image.
        public let rawByteCount: Int
        /// XXH3-64 of the stored bytes.
        public let checksum: UInt64

        /// Whether the stored bytes are the raw bytes.
        public var isStoredRaw: Bool { storedByteCount == rawByteCount }
    }

    /// The manifest's entry.
    public let entry: SegmentEntry
    /// The codes stream's blocks, then the scales stream's.
    public let blocks: [Block]

    /// Lays out the blocks of `entry`. Every contradiction between `entry` and `index` is an error.
    init(entry: SegmentEntry, index: [BlockEntry], file: String) throws(ModelFileError) {
        func damaged(_ detail: String) -> ModelFileError {
            ModelFileError(.damaged, file: file, offset: entry.fileOffset, "segment \(entry.name) \(detail)")
        }
        let codesBlocks = ContainerFormat.blockCount(ofStream: entry.codesByteCount)
        let scalesBlocks = ContainerFormat.blockCount(ofStream: entry.scalesByteCount)
        let (end, overflow) = entry.firstBlock.addingReportingOverflow(codesBlocks + scalesBlocks)
        guard entry.firstBlock >= 0, !overflow, end <= index.count else {
            throw damaged("has blocks beyond the block index")
        }
        var blocks: [Block] = []
        blocks.reserveCapacity(codesBlocks + scalesBlocks)
        var fileOffset = entry.fileOffset
        for (start, byteCount) in [(0, entry.codesByteCount), (entry.codesByteCount, entry.scalesByteCount)] {
            for offset in stride(from: 0, to: byteCount, by: ContainerFormat.blockByteCount) {
                let raw = min(ContainerFormat.blockByteCount, byteCount - offset)
                let stored = index[entry.firstBlock + blocks.count]
                guard stored.rawByteCount == raw, stored.storedByteCount > 0, stored.storedByteCount <= raw
                else {
                    throw damaged("has a block of impossible size")
                }
                blocks.append(
                    Block(
                        fileOffset: fileOffset, storedByteCount: Int(stored.storedByteCount),
                        imageOffset: start + offset, rawByteCount: raw, checksum: stored.checksum))
                fileOffset += Int(stored.storedByteCount)
            }
        }
        guard fileOffset - entry.fileOffset == entry.storedByteCount else {
            throw damaged("has another size than its blocks")
        }
        self.entry = entry
        self.blocks = blocks
    }
}
