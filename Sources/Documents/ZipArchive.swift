//! An archive that nobody vouches for: its names, and its files one at a time, within limits.

import CZip

/// A ZIP archive in memory. Every name is checked when it is opened, nothing is unfolded before it is asked
/// for, and what is unfolded is counted over all files: an archive within it stays bytes.
@safe final class ZipArchive {
    /// The names of its files, each once.
    let names: Set<String>
    private let archive: OpaquePointer
    private let indexes: [String: zip_uint64_t]
    /// Bytes that may still be unfolded.
    private var left = DocumentLimits.maxInflatedBytes
    /// What libzip reads from for as long as the archive is open.
    private let bytes: HostBuffer

    /// Opens the archive and checks its index.
    /// - Throws: `malformed` for damage, and for names that lead out of a folder or occur twice; `tooLarge`,
    ///   `outOfMemory`.
    init(_ content: [UInt8]) throws(DocumentError) {
        guard content.count <= DocumentLimits.maxArchiveBytes else {
            throw DocumentError(
                .tooLarge,
                "the archive has \(content.count) bytes; the limit is \(DocumentLimits.maxArchiveBytes)")
        }
        bytes = try HostBuffer(byteCount: content.count, for: "an archive")
        unsafe bytes.bytes.copyBytes(from: content)
        var fault = unsafe zip_error_t()
        unsafe zip_error_init(&fault)
        defer { unsafe zip_error_fini(&fault) }
        guard
            let source = unsafe zip_source_buffer_create(
                bytes.bytes.baseAddress, zip_uint64_t(content.count), 0, &fault)
        else { throw DocumentError(.outOfMemory, "no memory for an archive") }
        guard let opened = unsafe zip_open_from_source(source, ZIP_RDONLY, &fault) else {
            let isMemory = unsafe zip_error_code_zip(&fault) == ZIP_ER_MEMORY
            unsafe zip_source_free(source)
            throw isMemory
                ? DocumentError(.outOfMemory, "no memory for an archive")
                : DocumentError(.malformed, "the archive is damaged: its index cannot be read")
        }
        unsafe archive = opened
        do {
            indexes = unsafe try Self.index(of: opened)
        } catch {
            unsafe zip_discard(opened)
            throw error
        }
        names = Set(indexes.keys)
    }

    deinit { unsafe zip_discard(archive) }

    private static func index(of archive: OpaquePointer) throws(DocumentError) -> [String: zip_uint64_t] {
        let count = unsafe zip_get_num_entries(archive, 0)
        guard count <= DocumentLimits.maxArchiveEntries else {
            throw DocumentError(
                .tooLarge,
                "the archive has \(count) files; the limit is \(DocumentLimits.maxArchiveEntries)")
        }
        var indexes: [String: zip_uint64_t] = [:]
        for number in 0..<zip_uint64_t(max(count, 0)) {
            guard let pointer = unsafe zip_get_name(archive, number, zip_flags_t(ZIP_FL_ENC_GUESS)) else {
                throw DocumentError(.malformed, "the archive is damaged: a file in it has no name")
            }
            let name = unsafe String(cString: pointer)
            let steps = name.split(separator: "/", omittingEmptySubsequences: false)
            guard !name.isEmpty, !name.hasPrefix("/"), !name.contains("\\"), !name.contains(":"),
                !steps.contains("..")
            else {
                throw DocumentError(
                    .malformed, "the archive is refused: a name in it leads out of its folder")
            }
            guard indexes.updateValue(number, forKey: name) == nil else {
                throw DocumentError(.malformed, "the archive is refused: two files in it have one name")
            }
        }
        return indexes
    }

    /// The bytes of a file; nil where there is none of this name.
    /// - Throws: `tooLarge` beyond the limits on bytes and on their ratio, `malformed`, `unsupported` for
    ///   files that are encrypted or packed otherwise than by deflate, `outOfMemory`.
    func contents(of name: String) throws(DocumentError) -> [UInt8]? {
        guard let index = indexes[name] else { return nil }
        var status = unsafe zip_stat_t()
        guard unsafe zip_stat_index(archive, index, 0, &status) == 0 else { throw damaged(name) }
        let (method, encryption, size) = unsafe (
            Int32(status.comp_method), Int32(status.encryption_method), status.size
        )
        guard encryption == ZIP_EM_NONE else {
            throw DocumentError(
                .unsupported, "\(name) in the archive is encrypted: save it without a password")
        }
        guard [ZIP_CM_STORE, ZIP_CM_DEFLATE].contains(method) else {
            throw DocumentError(.unsupported, "\(name) in the archive is packed in an unusual way")
        }
        let packed = unsafe Int(clamping: status.comp_size)
        let (most, overflows) = packed.multipliedReportingOverflow(by: DocumentLimits.maxInflationRatio)
        let allowed = min(left, max(DocumentLimits.freeInflatedBytes, overflows ? .max : most))
        // What is said of the size is held against the limits first, and what comes again.
        guard size <= zip_uint64_t(allowed) else { throw unfolds(name, beyond: allowed) }
        guard let file = unsafe zip_fopen_index(archive, index, 0) else { throw damaged(name) }
        defer { unsafe zip_fclose(file) }
        let byteCount = Int(size)
        try HostBuffer.require(byteCount: byteCount, for: "a file of an archive")
        var content = [UInt8](repeating: 0, count: byteCount)
        var filled = 0
        while filled < byteCount {
            let count = unsafe content.withUnsafeMutableBytes { buffer in
                unsafe zip_fread(
                    file, buffer.baseAddress?.advanced(by: filled), zip_uint64_t(byteCount - filled))
            }
            guard count > 0 else { throw damaged(name) }
            filled += Int(count)
        }
        // The end must be where it was said, and with it the checksum, which libzip compares there.
        var more: UInt8 = 0
        guard unsafe zip_fread(file, &more, 1) == 0 else { throw damaged(name) }
        left -= byteCount
        return content
    }

    private func damaged(_ name: String) -> DocumentError {
        DocumentError(.malformed, "the archive is damaged: \(name) cannot be unfolded")
    }

    private func unfolds(_ name: String, beyond allowed: Int) -> DocumentError {
        let reason =
            allowed == left
            ? "\(DocumentLimits.maxInflatedBytes) bytes in all"
            : "\(DocumentLimits.maxInflationRatio) times its size"
        return DocumentError(
            .tooLarge, "\(name) in the archive unfolds to more than the limit of \(reason)")
    }
}
