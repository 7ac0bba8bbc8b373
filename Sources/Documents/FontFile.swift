//! Where a font named by the settings is found.

import HostSystem
import TextSearch

/// Finds font files without asking the system's font configuration: the same name gives the same file
/// everywhere.
enum FontFile {
    /// The directories that are searched by file name, in this order.
    static let directories = [
        "/usr/share/fonts/truetype/dejavu",
        "/usr/share/fonts/truetype/msttcorefonts",
        "/usr/share/fonts/truetype/liberation",
        "/usr/share/fonts/truetype/liberation2",
        "/usr/share/fonts/truetype/noto",
        "/usr/share/fonts/truetype/droid",
        "/usr/share/fonts/opentype/noto",
        "/usr/local/share/fonts",
    ]

    /// The path of an existing font file: the path itself, or its file name in one of the known directories.
    /// - Throws: `font`, naming the Debian package that holds the font or one that may stand in for it.
    static func locate(_ path: String) throws(DocumentError) -> String {
        guard !path.isEmpty, !path.utf8.contains(0) else {
            throw DocumentError(.font, "font-path is empty or holds a NUL")
        }
        if path.contains("/") && FileSystem.exists(path) { return path }
        let name = path.split(separator: "/").last.map(String.init) ?? path
        for directory in directories {
            let candidate = "\(directory)/\(name)"
            if FileSystem.exists(candidate) { return candidate }
        }
        throw DocumentError(
            .font, "font \(path) was not found, nor \(name) in the font directories; \(advice(for: name))")
    }

    /// The bytes of a font file.
    /// - Throws: `font` where it is no regular file, exceeds the limit or cannot be read; `outOfMemory`.
    static func contents(of path: String) throws(DocumentError) -> [UInt8] {
        do {
            return try RegularFile.contents(of: path, atMost: DocumentLimits.maxFontBytes)
        } catch {
            let reason =
                switch error {
                case .outOfMemory: throw DocumentError(.outOfMemory, "no memory for the font \(path)")
                case .unreadable: "cannot be opened as a file"
                case .notARegularFile: "is not a regular file"
                case .tooLarge: "has more than \(DocumentLimits.maxFontBytes) bytes"
                case .failed: "cannot be read"
                }
            throw DocumentError(.font, "font \(path) \(reason)", systemError: error.systemError)
        }
    }

    private static func advice(for name: String) -> String {
        let lowered = name.lowercased()
        if lowered.hasPrefix("dejavu") {
            return "install the Debian package fonts-dejavu-core (or fonts-dejavu-extra)"
        }
        if lowered.holds("cjk") || lowered.holds("hansans") {
            return "install the Debian package fonts-noto-cjk and set font-path to NotoSansCJK-Regular.ttc"
        }
        if lowered.hasPrefix("verdana") {
            return "give its full path, or install the Debian package fonts-dejavu-core and set font-path to "
                + "DejaVuSans.ttf"
        }
        return "give its full path, or install the Debian package fonts-dejavu-core and use DejaVuSans.ttf"
    }
}
