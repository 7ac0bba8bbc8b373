//! Where Thimble keeps what costs time to make anew, and nothing else when it is lost.

internal import FoundationEssentials

/// The folder `thimble` in the user's folder of caches.
enum CacheFolder {
    /// `$XDG_CACHE_HOME/thimble` or `~/.cache/thimble`; nil where there is no home either.
    static func path(
        environment: [String: String] = ProcessInfo.processInfo.environment
    ) -> String? {
        if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") { return "\(cache)/thimble" }
        if let home = environment["HOME"], home.hasPrefix("/") { return "\(home)/.cache/thimble" }
        return nil
    }

    /// The same as a URL.
    static func url(_ environment: [String: String] = ProcessInfo.processInfo.environment) -> URL? {
        path(environment: environment).map { URL(filePath: $0, directoryHint: .isDirectory) }
    }
}
