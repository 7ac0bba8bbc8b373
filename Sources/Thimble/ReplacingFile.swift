//! Result files that appear whole or not at all.

internal import ModelFile

/// A new file under a temporary name beside its target: `commit` puts it in the target's place, and without
/// that it goes away.
public struct ReplacingFile: ~Copyable {
    private let file: OutputFile

    /// Creates the temporary file. Throws `cannotCreate` where the folder does not take
    /// one or the target is no regular file.
    public init(path: String) throws(ThimbleError) {
        do { unsafe file = try OutputFile(path: path) } catch { throw ThimbleError(error) }
    }

    /// Writes all of `bytes` at `offset`, in bytes from the start. Throws `io`, also where the disk is full.
    public func write(_ bytes: UnsafeRawBufferPointer, at offset: Int) throws(ThimbleError) {
        do { try unsafe file.write(bytes, at: offset) } catch { throw ThimbleError(error) }
    }

    /// Writes all of `bytes` at `offset`, in bytes from the start. Throws `io`, also where the disk is full.
    public func write(_ bytes: [UInt8], at offset: Int) throws(ThimbleError) {
        var failure: ThimbleError?
        unsafe bytes.withUnsafeBytes {
            do throws(ThimbleError) { unsafe try write($0, at: offset) } catch { failure = error }
        }
        if let failure { throw failure }
    }

    /// Makes the bytes durable, and gives the file its name.
    public consuming func commit() throws(ThimbleError) {
        do { try file.commit() } catch { throw ThimbleError(error) }
    }
}
