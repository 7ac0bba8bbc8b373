//! Which Thimble this is.

/// The version of this library and program.
public enum Version {
    public static let string = "0.1.0"
    static let creator = "thimble \(string)"
}
