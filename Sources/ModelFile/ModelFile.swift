//! An open .thimble file: nothing it says is believed before it is checked.

import JSON

/// An open model file. Reading is safe from several threads at once.
///
/// FORMAT.md describes the file byte by byte. Opening checks the header, the block index and the manifest;
/// the blocks of a segment are checked as they are read.
public final class ModelFile: Sendable {
    /// The path it was opened by.
    public let path: String
    /// What the file holds, checked.
    public let manifest: Manifest
    /// The segments in file order.
    public let segments: [Segment]
    /// Counts what is read of it in runs.
    public let reads = ReadMeter()
    let input: InputFile
    let header: Header
    private let segmentIndexes: [String: Int]

    /// The hyperparameters of the model.
    public var configuration: ModelConfiguration { manifest.model.configuration }
    /// Bytes in the file.
    public var byteCount: Int { input.byteCount }
    /// What tells this model's file from another's: the header, with the checksums of the manifest and of the
    /// block index, in which are those of all blocks. A copy has the same.
    public var identity: [UInt8] { header.encoded }

    /// Opens and checks the file at `path`; the weights are not read.
    public init(path: String) throws(ModelFileError) {
        let input: InputFile
        do throws(InputFault) { input = try InputFile(path: path) } catch {
            throw ModelFileError(error.code, file: path, systemError: error.systemError, error.detail)
        }
        guard input.byteCount >= Header.byteCount else {
            throw ModelFileError(.notAModelFile, file: path, "\(input.byteCount) bytes are not a model file")
        }
        let header = try Header(input.checkedBytes(at: 0, count: Header.byteCount), file: path)
        let places = try Places(header, input: input)
        let index = try Self.readBlockIndex(input, header, places)
        let manifest = try Self.readManifest(input, header, places)
        try manifest.validate(
            file: path, blockIndexOffset: places.blockIndexOffset, blockCount: index.count)
        var segments: [Segment] = []
        for entry in manifest.segments {
            segments.append(try Segment(entry: entry, index: index, file: path))
        }
        self.path = path
        self.manifest = manifest
        self.segments = segments
        self.input = input
        self.header = header
        // Names are unique: the manifest's validation says so.
        segmentIndexes = Dictionary(
            uniqueKeysWithValues: segments.enumerated().map { ($1.entry.name, $0) })
    }

    /// The segment of that name.
    public func segment(named name: String) -> Segment? { segmentIndexes[name].map { segments[$0] } }

    /// The header's offsets and lengths, checked against the file and the limits.
    private struct Places {
        let blockIndexOffset: Int
        let blockCount: Int
        let manifestOffset: Int
        let manifestStoredByteCount: Int
        let manifestByteCount: Int

        init(_ header: Header, input: InputFile) throws(ModelFileError) {
            guard header.fileByteCount == UInt64(input.byteCount) else {
                throw ModelFileError(
                    .truncated, file: input.path,
                    "the file has \(input.byteCount) bytes, and its header says \(header.fileByteCount)")
            }
            guard header.blockCount <= UInt64(ContainerFormat.maximumBlockCount),
                header.manifestStoredByteCount <= UInt64(ContainerFormat.maximumManifestByteCount),
                header.manifestByteCount <= UInt64(ContainerFormat.maximumManifestByteCount)
            else {
                throw ModelFileError(
                    .limit, file: input.path, offset: 0,
                    "the block index or the manifest is beyond the limits")
            }
            // The index and the manifest are the end of the file, so their places follow from their lengths.
            let indexByteCount = Int(header.blockCount) * BlockEntry.byteCount
            let manifestStored = Int(header.manifestStoredByteCount)
            let manifestOffset = input.byteCount - manifestStored
            let blockIndexOffset = manifestOffset - indexByteCount
            guard blockIndexOffset >= Header.byteCount, manifestStored > 0,
                header.manifestOffset == UInt64(manifestOffset),
                header.blockIndexOffset == UInt64(blockIndexOffset)
            else {
                throw ModelFileError(
                    .damaged, file: input.path, offset: 0, "the block index or the manifest is out of place")
            }
            self.blockIndexOffset = blockIndexOffset
            blockCount = Int(header.blockCount)
            self.manifestOffset = manifestOffset
            manifestStoredByteCount = manifestStored
            manifestByteCount = Int(header.manifestByteCount)
        }
    }

    private static func readBlockIndex(
        _ input: InputFile, _ header: Header, _ places: Places
    ) throws(ModelFileError) -> [BlockEntry] {
        let bytes = try input.checkedBytes(
            at: places.blockIndexOffset, count: places.blockCount * BlockEntry.byteCount)
        guard ContainerFormat.checksum(bytes[...]) == header.blockIndexChecksum else {
            throw input.damage(at: places.blockIndexOffset, "the block index does not match its checksum")
        }
        return (0..<places.blockCount).map { BlockEntry(bytes, at: $0 * BlockEntry.byteCount) }
    }

    private static func readManifest(
        _ input: InputFile, _ header: Header, _ places: Places
    ) throws(ModelFileError) -> Manifest {
        let stored = try input.checkedBytes(
            at: places.manifestOffset, count: places.manifestStoredByteCount)
        guard ContainerFormat.checksum(stored[...]) == header.manifestChecksum else {
            throw input.damage(at: places.manifestOffset, "the manifest does not match its checksum")
        }
        let scratch = try BlockScratch(for: input.path)
        var json = [UInt8](repeating: 0, count: places.manifestByteCount)
        let fault = unsafe stored.withUnsafeBytes { frame in
            unsafe json.withUnsafeMutableBytes { unsafe scratch.decompress(frame, into: $0) }
        }
        if let fault {
            throw ModelFileError(
                .damaged, file: input.path, offset: places.manifestOffset,
                "the manifest cannot be decompressed: \(fault)")
        }
        do {
            return try JSONValue(parsing: json).decoded()
        } catch {
            throw ModelFileError(
                .damaged, file: input.path, offset: places.manifestOffset,
                "the manifest cannot be read: \(error)")
        }
    }
}

extension InputFile {
    /// The bytes of a range within the file, as a model file's reader throws.
    func checkedBytes(at offset: Int, count: Int) throws(ModelFileError) -> [UInt8] {
        do throws(InputFault) {
            return try bytes(at: offset, count: count)
        } catch {
            throw modelFileError(error, at: offset)
        }
    }

    /// The error for a failed read.
    func modelFileError(_ fault: InputFault, at offset: Int) -> ModelFileError {
        if isKnownToHaveChanged { return changedError(at: offset) }
        return ModelFileError(
            fault.code, file: path, offset: offset, systemError: fault.systemError, fault.detail)
    }

    /// The error for bytes that are not what was written.
    func damage(at offset: Int, _ detail: String) -> ModelFileError {
        isKnownToHaveChanged
            ? changedError(at: offset) : ModelFileError(.damaged, file: path, offset: offset, detail)
    }

    /// A fault is its own explanation where the system does not say whether the file has changed.
    private var isKnownToHaveChanged: Bool { (try? hasChanged()) ?? false }

    private func changedError(at offset: Int) -> ModelFileError {
        ModelFileError(.changed, file: path, offset: offset, "the file was changed while it was open")
    }
}

extension InputFault {
    /// What the fault is to a model file.
    fileprivate var code: ModelFileError.Code {
        switch self {
        case .system, .notARegularFile: .system
        case .ended: .truncated
        case .outOfMemory: .outOfMemory
        }
    }
}
