//! Reading the raw image of a segment, whole or block by block.

internal import Dispatch
internal import Synchronization

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
        let checksum = unsafe ContainerFormat.checksum(UnsafeRawBufferPointer(stored))
        guard checksum == block.checksum else {
            throw input.damage(
                at: block.fileOffset,
                "block \(index) of segment \(segment.entry.name) does not match its checksum")
        }
        guard !block.isStoredRaw else { return }
        if let fault = unsafe scratch.decompress(UnsafeRawBufferPointer(stored), into: destination) {
            throw input.damage(
                at: block.fileOffset,
                "block \(index) of segment \(segment.entry.name) cannot be decompressed: \(fault)")
        }
    }

    /// Reads the whole raw image of `segment` into `image`, which has exactly `entry.imageByteCount` bytes,
    /// on up to `threadCount` threads: decompression, not the disk, is what takes time.
    ///
    /// Of several faults, one is thrown.
    public func read(
        _ segment: Segment, into image: UnsafeMutableRawBufferPointer, threadCount: Int = 1
    ) throws(ModelFileError) {
        precondition(image.count == segment.entry.imageByteCount, "the destination has the image's size")
        let next = Atomic<Int>(0)
        let fault = Mutex<ModelFileError?>(nil)
        // Blocks do not overlap in the image, and each is taken by one thread.
        nonisolated(unsafe) let image = unsafe image
        DispatchQueue.concurrentPerform(iterations: max(1, min(threadCount, segment.blocks.count))) { _ in
            do throws(ModelFileError) {
                let scratch = try BlockScratch(for: path)
                while true {
                    let index = next.wrappingAdd(1, ordering: .relaxed).oldValue
                    guard index < segment.blocks.count, fault.withLock({ $0 == nil }) else { return }
                    let block = segment.blocks[index]
                    let range = block.imageOffset..<(block.imageOffset + block.rawByteCount)
                    unsafe try readBlock(
                        index, of: segment, into: UnsafeMutableRawBufferPointer(rebasing: image[range]),
                        scratch: scratch)
                }
            } catch {
                fault.withLock { $0 = $0 ?? error }
            }
        }
        if let fault = fault.withLock({ $0 }) { throw fault }
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
