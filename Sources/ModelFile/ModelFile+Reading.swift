//! Reading the raw image of a segment, whole or block by block.

extension ModelFile {
    /// Reads block `index` of `segment` into `destination`, which has exactly the block's `rawByteCount`
    /// bytes.
    ///
    /// Threads may read different blocks at once, each with a scratch of its own. The stored bytes are
    /// checked against their checksum before they are decompressed.
    ///
    /// Precondition: the block is there, and `destination` has its size.
    public func readBlock(
        _ index: Int, of segment: Segment, into destination: UnsafeMutableRawBufferPointer,
        scratch: borrowing BlockScratch
    ) throws(ModelFileError) {
        let block = segment.blocks[index]
        precondition(destination.count == block.rawByteCount, "the destination has the block's raw size")
        let stored =
            unsafe block.isStoredRaw
            ? destination : UnsafeMutableRawBufferPointer(rebasing: scratch.stored[..<block.storedByteCount])
        do throws(InputFault) {
            unsafe try input.read(at: block.fileOffset, into: stored)
        } catch {
            throw input.modelFileError(error, at: block.fileOffset)
        }
        try unsafe unpack(
            index, of: segment, UnsafeRawBufferPointer(stored), into: destination, scratch: scratch)
    }

    /// Checks the stored bytes of a block, and decompresses them into `destination`, unless they are the raw
    /// bytes. Precondition: as for `readBlock`.
    func unpack(
        _ index: Int, of segment: Segment, _ stored: UnsafeRawBufferPointer,
        into destination: UnsafeMutableRawBufferPointer, scratch: borrowing BlockScratch
    ) throws(ModelFileError) {
        let block = segment.blocks[index]
        guard unsafe ContainerFormat.checksum(stored) == block.checksum else {
            throw input.damage(
                at: block.fileOffset,
                "block \(index) of segment \(segment.entry.name) does not match its checksum")
        }
        guard !block.isStoredRaw else { return }
        if let fault = unsafe scratch.decompress(stored, into: destination) {
            throw input.damage(
                at: block.fileOffset,
                "block \(index) of segment \(segment.entry.name) cannot be decompressed: \(fault)")
        }
    }

    /// Reads the whole raw image of `segment` into `image`, which has exactly `entry.imageByteCount` bytes.
    /// `SegmentReader` does it on several threads.
    public func read(
        _ segment: Segment, into image: UnsafeMutableRawBufferPointer
    ) throws(ModelFileError) {
        unsafe try SegmentReader(of: self, threadCount: 1).read(segment, into: image)
    }

    /// The bytes of the data segment of that name.
    public func data(named name: String) throws(ModelFileError) -> [UInt8] {
        guard let segment = segment(named: name), segment.entry.kind == .data else {
            throw ModelFileError(.missing, file: path, "there is no data named \(name)")
        }
        let byteCount = segment.entry.codesByteCount
        guard HostBuffer.isAvailable(byteCount: byteCount) else {
            throw .outOfMemory(byteCount, for: "the data named \(name)", of: path)
        }
        var bytes = [UInt8](repeating: 0, count: byteCount)
        var fault: ModelFileError?
        unsafe bytes.withUnsafeMutableBytes { buffer in
            do throws(ModelFileError) { unsafe try read(segment, into: buffer) } catch { fault = error }
        }
        if let fault { throw fault }
        return bytes
    }

    /// Reads every byte of the file and checks it: blocks against their checksums, gaps for zeros.
    ///
    /// Returns the raw bytes of all blocks. The first fault is thrown.
    @discardableResult
    public func verify() throws(ModelFileError) -> Int {
        let scratch = try BlockScratch(for: path)
        let buffer = try BlockScratch.block(for: path)
        var end = Header.byteCount
        var rawByteCount = 0
        for segment in segments {
            try verifyGap(end..<segment.entry.fileOffset)
            for (index, block) in segment.blocks.enumerated() {
                let destination = unsafe UnsafeMutableRawBufferPointer(
                    rebasing: buffer.bytes[..<block.rawByteCount])
                unsafe try readBlock(index, of: segment, into: destination, scratch: scratch)
                rawByteCount += block.rawByteCount
            }
            end = segment.entry.fileOffset + segment.entry.storedByteCount
        }
        try verifyGap(end..<Int(header.blockIndexOffset))
        return rawByteCount
    }

    /// Checks that the padding between two parts of the file is zero.
    private func verifyGap(_ range: Range<Int>) throws(ModelFileError) {
        let bytes = try input.checkedBytes(at: range.lowerBound, count: range.count)
        if let index = bytes.firstIndex(where: { $0 != 0 }) {
            throw input.damage(at: range.lowerBound + index, "padding is not zero")
        }
    }
}
