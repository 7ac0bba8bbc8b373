//! The version of this library and of the program built on it.

/// Versions follow semver.org.
public enum Version {
    /// The version of this build.
    public static let current = "0.1.0"
}
