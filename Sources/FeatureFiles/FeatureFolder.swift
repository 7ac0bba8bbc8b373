//! Features on disk: what the vision tower made of images, kept for when they come again.

/// A folder of features, an entry for each image, that takes no more room than it is allowed.
///
/// Nothing here fails: what cannot be kept is not kept, and what cannot be read, is damaged or is not what it
/// should be is as good as not there, and is removed. Several processes may share a folder, and several of
/// these in one process; the one that writes an entry over another's writes the same. Each belongs to one
/// thread at a time.
public final class FeatureFolder {
    /// The most bytes of entries that may lie in the folder.
    public let limit: Int
    /// The numbers of images in this folder.
    public let numbering: ImageNumbering
    private let folder: PrivateFolder

    /// Opens the folder at `path`, and makes it where it is missing. Nil where it cannot be used.
    ///
    /// Precondition: `limit` is not negative.
    public init?(path: String, limit: Int) {
        precondition(limit >= 0)
        guard let folder = PrivateFolder(path: path), let numbering = ImageNumbering(keptIn: folder) else {
            return nil
        }
        self.folder = folder
        self.limit = limit
        self.numbering = numbering
        removeLeftOvers()
        // It may have been allowed more before.
        makeRoom(for: 0)
    }

    // MARK: Reading

    /// Reads the features of an image; false where the folder does not have them.
    ///
    /// `lend` gets runs of rows in order, each with a closure that fills the run's memory and is called once;
    /// what has been filled means nothing where the result is false.
    public func read(
        _ image: UInt128, _ shape: FeatureShape,
        lend: (Range<Int>, (UnsafeMutableRawBufferPointer) -> Void) -> Void
    ) -> Bool {
        let name = EntryName.entry(image)
        switch folder.openFile(name) {
        case .nothing: return false
        case .notNow: return false
        case .unusable: break
        case .file(let file, let byteCount):
            if unsafe file.readEntry(image, shape, fileByteCount: byteCount, lend: lend) {
                folder.touch(name)
                return true
            }
        }
        folder.remove(name)
        return false
    }

    /// Notes that the features of an image were used, though they were not read.
    public func touch(_ image: UInt128) { folder.touch(EntryName.entry(image)) }

    // MARK: Writing

    /// Keeps the features of an image, where there is room for them.
    ///
    /// `lend` gets runs of rows in order, and lends the bytes of each to the closure that comes with it.
    /// Where it throws, nothing is kept.
    public func write<E: Error>(
        _ image: UInt128, _ shape: FeatureShape,
        lend: (Range<Int>, (UnsafeRawBufferPointer) -> Void) throws(E) -> Void
    ) throws(E) {
        guard shape.fileByteCount <= limit else { return }
        let name = EntryName.entry(image)
        let partialName = EntryName.partial(of: name)
        makeRoom(for: shape.fileByteCount)
        guard let file = folder.create(partialName) else { return }
        var isKept = false
        defer { if !isKept { folder.remove(partialName) } }
        guard try unsafe file.writeEntry(image, shape, lend: lend) else { return }
        folder.touch(partialName)
        isKept = folder.rename(partialName, to: name)
    }

    // MARK: Room

    /// Removes what a process has begun and, stopped before the end, has left behind.
    private func removeLeftOvers() {
        folder.forEach(where: EntryName.isPartial) { file in
            if folder.isLeftOver(file.name) { folder.remove(file.name) }
        }
    }

    /// Removes the entries that were not used for the longest time, until `byteCount` bytes more may lie in
    /// the folder.
    private func makeRoom(for byteCount: Int) {
        var files: [PrivateFolder.Listed] = []
        // Whoever has made a file may have given it any size.
        var total = Int128(byteCount)
        folder.forEach(where: { EntryName.isEntry($0) || EntryName.isPartial($0) }) { file in
            guard files.count < FeatureLimits.maximumEntryCount else { return folder.remove(file.name) }
            files.append(file)
            total += Int128(file.byteCount)
        }
        var count = files.count + (byteCount > 0 ? 1 : 0)
        guard total > limit || count > FeatureLimits.maximumEntryCount else { return }
        files.sort { ($0.lastUse, $0.name) < ($1.lastUse, $1.name) }
        for file in files where total > limit || count > FeatureLimits.maximumEntryCount {
            folder.remove(file.name)
            total -= Int128(file.byteCount)
            count -= 1
        }
    }
}

/// How the files of a folder are called.
enum EntryName {
    private static let suffix = ".features"
    private static let partialSuffix = ".partial"
    private static let digitCount = 32

    /// The file of an image's features.
    static func entry(_ image: UInt128) -> String {
        let digits = String(image, radix: 16)
        return String(repeating: "0", count: digitCount - digits.count) + digits + suffix
    }

    /// A new name for a file that will be called `name` once it is whole.
    static func partial(of name: String) -> String {
        let random = String(UInt64.random(in: 0 ... .max), radix: 16)
        return "\(name).\(random)\(partialSuffix)"
    }

    static func isEntry(_ name: String) -> Bool {
        let bytes = name.utf8
        return bytes.count == digitCount + suffix.utf8.count && name.hasSuffix(suffix)
            && bytes.prefix(digitCount).allSatisfy(isDigit)
    }

    /// Whether a file of that name is to be called otherwise once it is whole.
    static func isPartial(_ name: String) -> Bool {
        guard name.hasSuffix(partialSuffix) else { return false }
        let target = name.dropLast(partialSuffix.count)
        guard let dot = target.lastIndex(of: ".") else { return false }
        let random = target[dot...].dropFirst()
        return !random.isEmpty && random.utf8.allSatisfy(isDigit)
            && (isEntry(String(target[..<dot])) || target[..<dot] == ImageNumbering.fileName)
    }

    private static func isDigit(_ byte: UInt8) -> Bool {
        (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte)
    }
}
