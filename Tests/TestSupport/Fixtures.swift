//! Where the committed test data lies.

public import Foundation

/// Finds the files under Tests/Fixtures, wherever the package was checked out.
public enum Fixtures {
    /// The package's root folder.
    public static let packageRoot = URL(filePath: #filePath)
        .deletingLastPathComponent().deletingLastPathComponent().deletingLastPathComponent()

    /// Tests/Fixtures.
    public static let folder = packageRoot.appending(path: "Tests/Fixtures")

    /// The file or folder at `path` under Tests/Fixtures.
    public static func url(_ path: String) -> URL { folder.appending(path: path) }

    /// The bytes of the file at `path` under Tests/Fixtures.
    public static func bytes(_ path: String) throws -> [UInt8] { [UInt8](try Data(contentsOf: url(path))) }

    /// The JSON file at `path` under Tests/Fixtures, decoded.
    public static func json<Value: Decodable>(_ path: String, as type: Value.Type = Value.self) throws
        -> Value
    {
        try JSONDecoder().decode(type, from: Data(contentsOf: url(path)))
    }
}
