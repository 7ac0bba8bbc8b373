//! Writes a .thimble file, tensor by tensor, and makes it appear whole or not at all.

internal import JSON
public import Tensors

/// Writes a model file.
///
/// Segments are written in the order in which they begin, tensors in the order in which they begin within
/// their segment; the codes of a tensor may arrive in pieces. The codes stream goes to disk as it comes, the
/// scales of the segment wait in memory for its end. The file appears at its path on `commit`; a writer that
/// ends without it leaves nothing behind.
public struct ModelFileWriter: ~Copyable {
    /// Path of the file to be.
    public let path: String
    private let output: OutputFile
    private var compressor: BlockCompressor
    private var position = Header.byteCount
    private var blocks: [BlockEntry] = []
    private var segments: [SegmentEntry] = []
    /// The open segment; its stream lengths grow as bytes arrive.
    private var segment: SegmentEntry?
    private var scales: [UInt8] = []
    /// Bytes of the open tensor's planes that have not arrived yet.
    private var missingCodes = 0
    private var missingScales = 0
    /// How far the streams were when the open matrix began.
    private var matrixStart = StreamMark()

    /// A place in the codes stream of the open segment, and in its scales.
    private struct StreamMark {
        var blockCount = 0
        /// The bytes before the place that are in no finished block.
        var unfinished: [UInt8] = []
        var codesByteCount = 0
        var scalesByteCount = 0
    }

    /// Creates the file beside `path`. Compression uses `threadCount` threads.
    public init(path: String, threadCount: Int = 1) throws(ModelFileError) {
        try self.init(path: path, pool: WorkerPool(threadCount: max(1, threadCount), for: path))
    }

    /// Creates the file beside `path`. The threads of `pool` compress.
    package init(path: String, pool: WorkerPool) throws(ModelFileError) {
        unsafe try self.init(output: OutputFile(path: path), pool: pool)
    }

    init(output: consuming OutputFile, pool: WorkerPool) throws(ModelFileError) {
        let compressor = try BlockCompressor(pool: pool, for: output.path)
        path = output.path
        self.output = output
        self.compressor = compressor
    }

    /// Begins a segment of tensors. Precondition: none is open.
    public mutating func beginSegment(_ name: String) throws(ModelFileError) {
        try begin(name, kind: .weights)
    }

    /// Begins a matrix `[rows, columns]` in the open segment. Its planes, in the layout of `WeightLayout`,
    /// follow.
    public mutating func beginMatrix(
        _ name: String, rows: Int, columns: Int, format: WeightFormat
    ) throws(ModelFileError) {
        let limit = 1...ContainerFormat.maximumDimension
        guard limit.contains(rows), limit.contains(columns) else {
            throw ModelFileError(.limit, file: path, "tensor \(name) of \(rows) x \(columns) is too large")
        }
        matrixStart = StreamMark(
            blockCount: blocks.count + compressor.pendingCount,
            unfinished: unsafe Array(compressor.unfinished),
            codesByteCount: segment!.codesByteCount, scalesByteCount: scales.count)
        try begin(
            TensorEntry(
                name: name, kind: .matrix, rows: rows, columns: columns, format: format, codesOffset: 0,
                scalesOffset: nil))
    }

    /// Forgets what has arrived of the open matrix and begins it anew in another format.
    public mutating func restartMatrix(format: WeightFormat) throws(ModelFileError) {
        while compressor.pendingCount > 0 { try writeOldestBlock() }
        for block in blocks[matrixStart.blockCount...] { position -= Int(block.storedByteCount) }
        blocks.removeSubrange(matrixStart.blockCount...)
        try output.cut(at: position)
        compressor.dropUnfinished()
        segment!.codesByteCount = matrixStart.codesByteCount - matrixStart.unfinished.count
        try appendToStream(matrixStart.unfinished)
        scales.removeSubrange(matrixStart.scalesByteCount...)
        var tensor = segment!.tensors.removeLast()
        tensor.format = format
        (missingCodes, missingScales) = (0, 0)
        try begin(tensor)
    }

    /// Begins a vector `[count]` in the open segment. Its values, float32, follow as codes.
    public mutating func beginVector(_ name: String, count: Int) throws(ModelFileError) {
        guard (1...ContainerFormat.maximumDimension).contains(count) else {
            throw ModelFileError(.limit, file: path, "tensor \(name) of \(count) is too large")
        }
        try begin(
            TensorEntry(
                name: name, kind: .vector, rows: count, columns: 1, format: .f32, codesOffset: 0,
                scalesOffset: nil))
    }

    /// Adds a vector `[values.count]` to the open segment.
    public mutating func appendVector(_ name: String, _ values: [Float]) throws(ModelFileError) {
        try beginVector(name, count: values.count)
        var fault: ModelFileError?
        unsafe values.withUnsafeBytes { bytes in
            do throws(ModelFileError) { unsafe try appendCodes(bytes) } catch { fault = error }
        }
        if let fault { throw fault }
        try endTensor()
    }

    /// The next bytes of the open tensor's codes plane (values, for f32 and f16).
    public mutating func appendCodes(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
        precondition(bytes.count <= missingCodes, "a tensor gets no more codes than its plane holds")
        missingCodes -= bytes.count
        unsafe try appendToStream(bytes)
    }

    /// The next bytes of the open matrix's scales plane.
    public mutating func appendScales(_ bytes: UnsafeRawBufferPointer) {
        precondition(bytes.count <= missingScales, "a tensor gets no more scales than its plane holds")
        missingScales -= bytes.count
        unsafe scales.append(contentsOf: bytes)
    }

    /// Ends the open tensor. Precondition: both planes have arrived whole.
    public mutating func endTensor() throws(ModelFileError) {
        precondition(missingCodes == 0 && missingScales == 0, "a tensor ends when its planes are whole")
        let alignment = ContainerFormat.planeAlignment
        let codesByteCount = segment!.codesByteCount
        let padding = ContainerFormat.aligned(codesByteCount, to: alignment) - codesByteCount
        try appendToStream([UInt8](repeating: 0, count: padding))
        scales += [UInt8](
            repeating: 0, count: ContainerFormat.aligned(scales.count, to: alignment) - scales.count)
    }

    /// Ends the open segment: its scales go to disk. Precondition: no tensor is open.
    public mutating func endSegment() throws(ModelFileError) {
        precondition(missingCodes == 0 && missingScales == 0, "a segment ends when its tensors are whole")
        try flush()
        var entry = segment!
        let scales = scales
        self.scales = []
        try appendToStream(scales)
        try flush()
        entry.scalesByteCount = scales.count
        entry.storedByteCount = position - entry.fileOffset
        for index in entry.tensors.indices {
            // Until here scales offsets counted from the start of their stream.
            entry.tensors[index].scalesOffset? += entry.codesByteCount
        }
        segments.append(entry)
        segment = nil
    }

    /// Adds a segment of bytes that mean nothing to the container. Precondition: no segment is open.
    public mutating func appendData(_ name: String, _ bytes: [UInt8]) throws(ModelFileError) {
        guard bytes.count <= ContainerFormat.maximumDataByteCount else {
            throw ModelFileError(
                .limit, file: path,
                "data \(name) has \(bytes.count) bytes, at most \(ContainerFormat.maximumDataByteCount) fit")
        }
        try begin(name, kind: .data)
        try appendToStream(bytes)
        try endSegment()
    }

    /// Writes the block index, the manifest and the header, and gives the file its name.
    /// Precondition: no segment is open.
    public consuming func commit(_ model: ModelDescription) throws(ModelFileError) {
        precondition(segment == nil, "a file is committed when its segments are whole")
        try pad(to: ContainerFormat.planeAlignment)
        let manifest = Manifest(model: model, segments: segments)
        // What is written is read back by the same rules, so a faulty configuration is found now.
        try manifest.validate(file: path, blockIndexOffset: position, blockCount: blocks.count)
        let json: [UInt8]
        do { json = try Array(JSONText(escapesSlashes: true).text(of: manifest).utf8) } catch {
            throw ModelFileError(.damaged, file: path, "the manifest cannot be encoded: \(error)")
        }
        guard json.count <= ContainerFormat.maximumManifestByteCount else {
            throw ModelFileError(.limit, file: path, "the manifest of \(json.count) bytes is too large")
        }
        var index: [UInt8] = []
        for block in blocks { block.append(to: &index) }
        let stored = try BlockCompressor.frame(of: json, for: path)
        var header = Header()
        header.blockIndexOffset = UInt64(position)
        header.blockCount = UInt64(blocks.count)
        header.blockIndexChecksum = ContainerFormat.checksum(index[...])
        try write(index)
        header.manifestOffset = UInt64(position)
        header.manifestStoredByteCount = UInt64(stored.count)
        header.manifestByteCount = UInt64(json.count)
        header.manifestChecksum = ContainerFormat.checksum(stored[...])
        try write(stored)
        header.fileByteCount = UInt64(position)
        position = 0
        try write(header.encoded)
        try output.commit()
    }

    private mutating func begin(_ name: String, kind: SegmentEntry.Kind) throws(ModelFileError) {
        precondition(segment == nil, "one segment is open at a time")
        try pad(to: ContainerFormat.segmentAlignment)
        segment = SegmentEntry(
            name: name, kind: kind, fileOffset: position, storedByteCount: 0, codesByteCount: 0,
            scalesByteCount: 0, firstBlock: blocks.count, tensors: [])
    }

    private mutating func begin(_ tensor: TensorEntry) throws(ModelFileError) {
        precondition(missingCodes == 0 && missingScales == 0, "one tensor is open at a time")
        var tensor = tensor
        tensor.codesOffset = segment!.codesByteCount
        tensor.scalesOffset = tensor.format.type.isQuantized ? scales.count : nil
        missingCodes = tensor.codesByteCount
        missingScales = tensor.scalesByteCount
        let capacity = scales.count + missingScales + ContainerFormat.planeAlignment
        guard capacity <= scales.capacity || HostBuffer.isAvailable(byteCount: capacity) else {
            throw .outOfMemory(capacity, for: "a segment's scales", of: path)
        }
        scales.reserveCapacity(capacity)
        segment!.tensors.append(tensor)
    }

    private mutating func appendToStream(_ bytes: [UInt8]) throws(ModelFileError) {
        var fault: ModelFileError?
        unsafe bytes.withUnsafeBytes { buffer in
            do throws(ModelFileError) { unsafe try appendToStream(buffer) } catch { fault = error }
        }
        if let fault { throw fault }
    }

    private mutating func appendToStream(_ bytes: UnsafeRawBufferPointer) throws(ModelFileError) {
        segment!.codesByteCount += bytes.count
        var done = 0
        while done < bytes.count {
            if compressor.isFull { try writeOldestBlock() }
            done += unsafe compressor.fill(UnsafeRawBufferPointer(rebasing: bytes[done...]))
        }
    }

    private mutating func flush() throws(ModelFileError) {
        compressor.finish()
        while compressor.pendingCount > 0 { try writeOldestBlock() }
    }

    private mutating func writeOldestBlock() throws(ModelFileError) {
        let offset = position
        var written: BlockEntry?
        try compressor.releaseOldest { block throws(ModelFileError) in
            unsafe try output.write(block.stored, at: offset)
            written = block.entry
        }
        position += Int(written!.storedByteCount)
        blocks.append(written!)
    }

    private mutating func pad(to alignment: Int) throws(ModelFileError) {
        try write([UInt8](repeating: 0, count: ContainerFormat.aligned(position, to: alignment) - position))
    }

    private mutating func write(_ bytes: [UInt8]) throws(ModelFileError) {
        var fault: ModelFileError?
        unsafe bytes.withUnsafeBytes { buffer in
            do throws(ModelFileError) { unsafe try output.write(buffer, at: position) } catch {
                fault = error
            }
        }
        if let fault { throw fault }
        position += bytes.count
    }
}
