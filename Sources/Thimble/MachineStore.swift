//! Where the profile of this machine is kept between runs.

internal import HostSystem
internal import JSON
public import Memory

extension MachineProfile {
    /// A profile has about a thousand bytes; more was not written by us.
    static let maximumFileByteCount = 64 << 10

    /// The file of this machine's profile: in the user's cache folder; nil where there is none.
    static func file(in folder: String? = CacheFolder.path()) -> String? {
        folder.map { "\($0)/machine.json" }
    }

    /// What was measured of this machine and kept; nil where nothing was. A file that is damaged, of another
    /// form or another machine's is as none.
    public static func stored() -> MachineProfile? { stored(in: CacheFolder.path()) }

    static func stored(in folder: String?) -> MachineProfile? {
        guard let path = file(in: folder), let bytes = try? readFile(path, limit: maximumFileByteCount),
            let profile = try? JSONValue(parsing: bytes).decoded(as: MachineProfile.self, keys: .snakeCase),
            profile.isSound, profile.processor == processorName
        else { return nil }
        return profile
    }

    /// Keeps this profile in place of an older one; returns the file's path.
    ///
    /// Throws `cannotCreate` where there is no folder for it.
    @discardableResult
    public func store() throws(ThimbleError) -> String { try store(in: CacheFolder.path()) }

    @discardableResult
    func store(in folder: String?) throws(ThimbleError) -> String {
        guard let folder, let path = Self.file(in: folder) else {
            throw ThimbleError(
                .cannotCreate, "no folder for machine.json; set XDG_CACHE_HOME or HOME to a path")
        }
        do {
            let text = try JSONText(keys: .snakeCase, isIndented: true).text(of: self)
            // A folder that cannot be made takes no file.
            _ = FileSystem.makeFolder(folder)
            // Beside the old file, then in its place: a run that starts meanwhile reads one of both.
            let file = try ReplacingFile(path: path)
            try file.write(Array(text.utf8), at: 0)
            try file.commit()
        } catch {
            throw ThimbleError(.cannotCreate, "\(path): cannot be written; set XDG_CACHE_HOME")
        }
        return path
    }

    /// What this machine's processor calls itself: its model, or on boards that name none the board.
    static let processorName: String = name(
        information: SystemText.contents(of: "/proc/cpuinfo") ?? "")

    /// The name in the text of /proc/cpuinfo. x86 has `model name`, boards have `Model` or `Hardware`, and
    /// other ARM machines the numbers of the design.
    static func name(information: String) -> String {
        let fields = information.split(separator: "\n").compactMap { line -> (String, String)? in
            let parts = line.split(separator: ":", maxSplits: 1)
            guard parts.count == 2 else { return nil }
            func trimmed(_ text: Substring) -> String {
                let start = text.drop(while: \.isWhitespace)
                return String(start.lastIndex { !$0.isWhitespace }.map { start[...$0] } ?? "")
            }
            return (trimmed(parts[0]), trimmed(parts[1]))
        }
        func value(_ key: String) -> String? { fields.first { $0.0 == key && !$0.1.isEmpty }?.1 }
        if let name = value("model name") ?? value("Model") ?? value("Hardware") { return name }
        let design = ["CPU implementer", "CPU part", "CPU variant"].compactMap(value)
        return design.isEmpty ? "unknown processor" : "processor " + design.joined(separator: " ")
    }
}
