//! A folder of saved sessions: one file for each, which its owner alone can read.

import Glibc
internal import ModelFile

/// The saved sessions of one user, by name.
public struct SessionFolder: Sendable {
    /// Ends the name of a session's file.
    static let suffix = ".session"

    public let path: String

    /// The folder at `path`, there or not.
    public init(_ path: String) { self.path = path }

    /// Makes the folder where it is missing, for this user alone. Throws `cannotCreate` where that fails, or
    /// where others may write to it.
    public func make() throws(SessionFileError) {
        do { try SpillFolder(path).make() } catch {
            throw SessionFileError(.cannotCreate, file: path, error.detail)
        }
        let flags = O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC
        let descriptor = retrying { unsafe open(path, flags) }
        guard descriptor >= 0 else {
            throw SessionFileError(
                .cannotCreate, file: path, systemError: errno,
                "no folder for sessions: \(systemMessage(errno))")
        }
        defer { close(descriptor) }
        var status = stat()
        guard unsafe fstat(descriptor, &status) == 0, status.st_uid == geteuid(),
            status.st_mode & (S_IWGRP | S_IWOTH) == 0
        else {
            throw SessionFileError(
                .cannotCreate, file: path, "others than this user may write to the folder")
        }
    }

    // MARK: Names

    /// Whether a session may be called so: letters, digits, and `.`, `_` and `-` between them.
    public static func isName(_ name: String) -> Bool {
        func isLetter(_ byte: UInt8) -> Bool {
            (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
                || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
        }
        let bytes = name.utf8
        guard let first = bytes.first, let last = bytes.last, isLetter(first), isLetter(last) else {
            return false
        }
        return bytes.count <= SessionLimits.maximumNameByteCount
            && bytes.allSatisfy { isLetter($0) || "._-".utf8.contains($0) }
    }

    /// The file of a session, there or not. Throws `name`.
    public func file(of name: String) throws(SessionFileError) -> String {
        guard Self.isName(name) else {
            throw SessionFileError(.name, file: path, "no session can be called '\(name)'")
        }
        return "\(path)/\(name)\(Self.suffix)"
    }

    /// Whether there is a session of that name. Throws `name`.
    public func has(_ name: String) throws(SessionFileError) -> Bool {
        let file = try file(of: name)
        return unsafe access(file, F_OK) == 0
    }

    // MARK: What there is

    /// A session's file.
    public struct Entry: Sendable, Equatable {
        public let name: String
        public let byteCount: Int
        /// When it was last saved or restored, in seconds since 1970.
        public let lastUse: Int
        fileprivate let nanoseconds: Int
    }

    /// The sessions, the one that was used last first. What a process that was stopped has left half-written
    /// is removed on the way. Throws `system` where the folder cannot be read; one that is not there has
    /// none.
    public func list() throws(SessionFileError) -> [Entry] {
        guard let stream = unsafe opendir(path) else {
            if errno == ENOENT { return [] }
            throw SessionFileError(
                .system, file: path, systemError: errno, "it cannot be read: \(systemMessage(errno))")
        }
        defer { unsafe closedir(stream) }
        var entries: [Entry] = []
        while let record = unsafe readdir(stream) {
            // The record ends with the name: most of the room that its type has for one is not there.
            let start = unsafe UnsafeRawPointer(record) + MemoryLayout<dirent>.offset(of: \dirent.d_name)!
            let file = unsafe String(cString: start.assumingMemoryBound(to: CChar.self))
            if let name = Self.name(of: file, Self.suffix + SessionClaim.suffix) {
                // Whoever has the right to it keeps it; else it goes with this.
                _ = try? SessionClaim(path: "\(path)/\(name)\(Self.suffix)", isPatient: false)
            } else if let name = Self.name(of: file, Self.suffix), let entry = entry(name) {
                entries.append(entry)
            }
        }
        return entries.sorted {
            ($1.lastUse, $1.nanoseconds, $0.name) < ($0.lastUse, $0.nanoseconds, $1.name)
        }
    }

    private static func name(of file: String, _ suffix: String) -> String? {
        guard file.hasSuffix(suffix), isName(String(file.dropLast(suffix.count))) else { return nil }
        return String(file.dropLast(suffix.count))
    }

    private func entry(_ name: String) -> Entry? {
        var status = stat()
        guard unsafe lstat("\(path)/\(name)\(Self.suffix)", &status) == 0,
            status.st_mode & S_IFMT == S_IFREG
        else { return nil }
        return Entry(
            name: name, byteCount: Int(status.st_size), lastUse: status.st_mtim.tv_sec,
            nanoseconds: status.st_mtim.tv_nsec)
    }

    /// Notes that the session at `file` was used now.
    public static func touch(_ file: String) {
        _ = unsafe utimensat(AT_FDCWD, file, nil, AT_SYMLINK_NOFOLLOW)
    }

    // MARK: Room

    /// Removes a session. Throws `missing`, `inUse`, `system`.
    public func remove(_ name: String) throws(SessionFileError) {
        let file = try file(of: name)
        guard try has(name) else { throw SessionFileError(.missing, file: file, "there is no such session") }
        let claim = try SessionClaim(path: file)
        guard try claim.removeSession() else {
            throw SessionFileError(.missing, file: file, "there is no such session")
        }
    }

    /// Removes the sessions that were not used for `seconds` before `now`, in seconds since 1970 and the
    /// present where it is nil, and of the others those that were not used for the longest, until no more
    /// than `byteLimit` bytes are left; never that of `keeping`, nor one that somebody uses. Returns the
    /// names of those that are gone. Throws `system`.
    public func prune(
        unusedFor seconds: Int? = nil, byteLimit: Int? = nil, keeping: String? = nil, now: Int? = nil
    ) throws(SessionFileError) -> [String] {
        let entries = try list()
        let now = now ?? Int(time(nil))
        // Whoever has made a file may have given it any size.
        var total = entries.reduce(Int128(0)) { $0 + Int128($1.byteCount) }
        var removed: [String] = []
        for entry in entries.reversed() where entry.name != keeping {
            let isOld = seconds.map { entry.lastUse < now && now - entry.lastUse > $0 } ?? false
            let isTooMuch = byteLimit.map { total > Int128($0) } ?? false
            guard isOld || isTooMuch else { continue }
            guard let claim = try? SessionClaim(path: file(of: entry.name), isPatient: false),
                // It may have been used since the folder was looked through.
                self.entry(entry.name) == entry, try claim.removeSession()
            else { continue }
            total -= Int128(entry.byteCount)
            removed.append(entry.name)
        }
        return removed
    }
}
