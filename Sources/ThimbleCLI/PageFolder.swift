//! The folder that `read --render-only` fills: all pages appear, or none.

import Glibc
import HostSystem
import Thimble

/// Collects pages beside their places, and moves them there at the end.
struct PageFolder: ~Copyable {
    private let path: String
    private let staging: String
    private let isNew: Bool
    private var isCommitted = false
    private(set) var pageCount = 0

    /// Makes the folder where it is missing.
    init(path: String) throws(Failure) {
        let exists = FileSystem.exists(path)
        guard FileSystem.isFolder(path) || !exists else {
            throw Failure(.cannotCreate, "\(path): is no folder; name another with -o")
        }
        let staging = "\(path)/.thimble-\(getpid()).partial"
        guard FileSystem.makeFolder(staging) else {
            throw Failure(.cannotCreate, "\(path): cannot be created or written; name another with -o")
        }
        self.path = path
        self.staging = staging
        isNew = !exists
    }

    deinit {
        FileSystem.remove(staging)
        if isNew && !isCommitted { FileSystem.remove(path) }
    }

    /// Adds the next page, as the bytes of a PNG.
    mutating func append(_ png: [UInt8]) throws(ThimbleError) {
        let file = try ReplacingFile(path: "\(staging)/\(Self.name(pageCount))")
        try file.write(png, at: 0)
        try file.commit()
        pageCount += 1
    }

    /// Moves the pages into the folder, over those of an earlier run; returns how many older pages stay.
    consuming func commit() throws(Failure) -> Int {
        for index in 0..<pageCount {
            let name = Self.name(index)
            guard unsafe rename("\(staging)/\(name)", "\(path)/\(name)") == 0 else {
                throw Failure(.inputOutput, "\(path)/\(name): cannot be written: \(systemMessage(errno))")
            }
        }
        isCommitted = true
        let names = FileSystem.names(in: path) ?? []
        let ours = Set((0..<pageCount).map(Self.name))
        return names.count { $0.hasPrefix("page_") && $0.hasSuffix(".png") && !ours.contains($0) }
    }

    /// `page_001.png` for the first page, index 0.
    private static func name(_ index: Int) -> String {
        let number = String(index + 1)
        return "page_\(String(repeating: "0", count: max(0, 3 - number.count)))\(number).png"
    }
}
