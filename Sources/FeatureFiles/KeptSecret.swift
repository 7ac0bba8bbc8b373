//! The secret of a folder: made once, and the same for all who use the folder.

internal import ModelFile

extension ImageNumbering {
    static let fileName = "secret"
    /// Another form, or another way to number images, gets another version.
    private static let version: UInt32 = 1
    private static let magic = Array("THIMSEC\u{1A}".utf8)

    private static let fileByteCount = magic.count + 4 + secretByteCount + 8

    /// The file: eight bytes that say what it is, four of the version, the secret, and XXH3-64 of it all.
    private var encoded: [UInt8] {
        var bytes = Self.magic
        bytes.append(littleEndian: Self.version)
        bytes += secret
        bytes.append(littleEndian: EntryChecksum.of(bytes[...]))
        return bytes
    }

    private init?(encoded bytes: [UInt8]) {
        let start = Self.magic.count + 4
        guard bytes.count == Self.fileByteCount else { return nil }
        self.init(secret: Array(bytes[start..<start + Self.secretByteCount]))
        guard encoded == bytes else { return nil }
    }

    /// The numbering of a folder. Its secret is made where there is none, or where it is damaged, which makes
    /// entries that were there strangers. Nil where it can neither be read nor made.
    init?(keptIn folder: borrowing PrivateFolder) {
        // Another process may make one at the same time, or find this one damaged before it is whole.
        for _ in 0..<3 {
            switch Self.read(folder) {
            case .found(let kept):
                self = kept
                return
            case .notNow: return nil
            case .missing: Self.make(folder)
            }
        }
        return nil
    }

    private enum Kept {
        case found(ImageNumbering)
        /// There is none, or none any more.
        case missing
        /// It cannot be told.
        case notNow
    }

    private static func read(_ folder: borrowing PrivateFolder) -> Kept {
        switch folder.openFile(fileName) {
        case .nothing: return .missing
        case .notNow: return .notNow
        case .unusable: break
        case .file(let file, let byteCount):
            // No larger file is read.
            if byteCount == fileByteCount, let bytes = file.bytes(at: 0, count: byteCount),
                let kept = ImageNumbering(encoded: bytes)
            {
                return .found(kept)
            }
        }
        folder.remove(fileName)
        return .missing
    }

    /// Writes a new secret beside its place, and puts it there unless another process was first.
    private static func make(_ folder: borrowing PrivateFolder) {
        let partialName = EntryName.partial(of: fileName)
        guard let file = folder.create(partialName) else { return }
        var isKept = false
        if file.write(ImageNumbering().encoded, at: 0),
            folder.link(partialName, to: fileName) == .notPossible
        {
            // This file system gives no second names: who comes at the same time may lose entries.
            isKept = folder.rename(partialName, to: fileName)
        }
        if !isKept { folder.remove(partialName) }
    }
}
