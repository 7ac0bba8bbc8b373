//! Where Thimble keeps what costs time to make anew, and nothing else when it is lost.

internal import HostSystem

/// The folder `thimble` in the user's folder of caches.
enum CacheFolder {
    /// `$XDG_CACHE_HOME/thimble` or `~/.cache/thimble`; nil where there is no home either.
    static func path(
        environment: [String: String] = ProcessEnvironment.variables
    ) -> String? {
        if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") { return "\(cache)/thimble" }
        if let home = environment["HOME"], home.hasPrefix("/") { return "\(home)/.cache/thimble" }
        return nil
    }
}
