//! A session's file checked whole, and copied as it is.

internal import ModelFile

extension SessionFileReader {
    /// Bytes that are copied at a time.
    private static let runByteCount = 1 << 20

    /// Checks every part. Throws `damaged`, `outOfMemory` and `system`.
    public func verify() throws(SessionFileError) {
        _ = try conversation()
        for index in 0..<head.imageCount { _ = try png(index) }
        _ = try inputs()
        let page: HostBuffer
        do { page = try HostBuffer(byteCount: head.pageByteCount, for: "a page", of: path) } catch {
            throw SessionFileError(.outOfMemory, file: path, error.detail)
        }
        for index in 0..<head.pageCount { unsafe try readPage(index, into: page.bytes) }
    }

    /// Checks every part, and puts a copy in another session's place. Throws as `verify` does, and where it
    /// cannot be written.
    public func copy(to claim: consuming SessionClaim) throws(SessionFileError) {
        try verify()
        var offset = 0
        while offset < file.byteCount {
            let (start, count) = (offset, min(Self.runByteCount, file.byteCount - offset))
            let run = try Self.faults(of: path) { () throws(InputFault) in
                try file.bytes(at: start, count: count)
            }
            try claim.write(run, at: start)
            offset += count
        }
        try checkUnchanged()
        try claim.commit()
    }
}
