//! A folder for one test's files.

public import Foundation

/// A new, empty folder that is removed with all it holds when its owner goes.
public final class TemporaryDirectory {
    /// The folder.
    public let url: URL

    /// Makes the folder under the system's folder for temporary files.
    public init() throws {
        url = FileManager.default.temporaryDirectory.appending(path: "thimble-test-\(UUID().uuidString)")
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(at: url) }

    /// The path of `name` in the folder; nothing is made there.
    public func path(_ name: String) -> String { url.appending(path: name).path }

    /// The names of what lies in the folder.
    public var contents: [String] { (try? FileManager.default.contentsOfDirectory(atPath: url.path)) ?? [] }

    /// Writes a file into the folder and returns its path.
    @discardableResult
    public func write(_ bytes: some Sequence<UInt8>, to name: String) throws -> String {
        try Data(bytes).write(to: url.appending(path: name))
        return path(name)
    }
}
