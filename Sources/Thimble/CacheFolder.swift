//! The folder for what costs time to make anew, and nothing else when it is lost.

internal import Foundation

/// The user's cache folder.
enum CacheFolder {
    /// `$XDG_CACHE_HOME/thimble` or `~/.cache/thimble`; nil where there is no home either.
    static func url(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> URL? {
        if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") {
            return URL(filePath: cache, directoryHint: .isDirectory).appending(path: "thimble")
        }
        if let home = environment["HOME"], home.hasPrefix("/") {
            return URL(filePath: home, directoryHint: .isDirectory).appending(path: ".cache/thimble")
        }
        return nil
    }
}
