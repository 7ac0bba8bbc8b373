//! Files and folders, as several modules ask the system about them.

import Glibc

/// What is asked of the system about a path. Links are followed; a fault is the answer "no".
package enum FileSystem {
    /// Whether something is there.
    package static func exists(_ path: String) -> Bool { mode(of: path) != nil }

    /// Whether a folder is there.
    package static func isFolder(_ path: String) -> Bool {
        mode(of: path).map { $0 & S_IFMT == S_IFDIR } ?? false
    }

    private static func mode(of path: String) -> mode_t? {
        var status = stat()
        return unsafe stat(path, &status) == 0 ? status.st_mode : nil
    }

    /// Where a link leads; nil where there is none.
    package static func destination(ofLink path: String) -> String? {
        unsafe withUnsafeTemporaryAllocation(of: UInt8.self, capacity: Int(PATH_MAX)) { room in
            let count = unsafe readlink(path, room.baseAddress!, room.count)
            guard count > 0 else { return nil }
            return unsafe String(decoding: room[..<count], as: UTF8.self)
        }
    }

    /// The program that runs.
    package static var program: String? { destination(ofLink: "/proc/self/exe") }

    /// Where files go that nobody keeps.
    package static var temporaryFolder: String {
        if let folder = ProcessEnvironment.variables["TMPDIR"], folder.hasPrefix("/") { return folder }
        return "/tmp"
    }

    /// The path from the root on, without `.` and `..`. Links are not looked at.
    package static func absolute(_ path: String) -> String {
        let start = path.hasPrefix("/") ? "" : destination(ofLink: "/proc/self/cwd") ?? ""
        var steps: [Substring] = []
        for step in "\(start)/\(path)".split(separator: "/") where step != "." {
            if step == ".." { _ = steps.popLast() } else { steps.append(step) }
        }
        return "/" + steps.joined(separator: "/")
    }

    /// The names of what lies in a folder, in any order; nil where it cannot be read.
    package static func names(in folder: String) -> [String]? {
        guard let stream = unsafe opendir(folder) else { return nil }
        defer { unsafe closedir(stream) }
        var names: [String] = []
        while let record = unsafe readdir(stream) {
            // The record ends with the name: most of the room that its type has for one is not there.
            let start = unsafe UnsafeRawPointer(record) + MemoryLayout<dirent>.offset(of: \dirent.d_name)!
            let name = unsafe String(cString: start.assumingMemoryBound(to: CChar.self))
            if name != ".", name != ".." { names.append(name) }
        }
        return names
    }

    /// Makes a folder, and those above it, where they are missing; false where that fails.
    package static func makeFolder(_ path: String) -> Bool {
        if isFolder(path) { return true }
        if let slash = path.lastIndex(of: "/"), slash != path.startIndex,
            !makeFolder(String(path[..<slash]))
        {
            return false
        }
        // Another process may make it meanwhile.
        return unsafe mkdir(path, 0o777) == 0 || isFolder(path)
    }

    /// Removes what is there; of a folder, all that is in it. A link goes, not what it leads to.
    package static func remove(_ path: String) {
        if unsafe unlink(path) == 0 { return }
        for name in names(in: path) ?? [] { remove("\(path)/\(name)") }
        unsafe rmdir(path)
    }
}
