//! Where compiled shaders are kept between runs: a file a device in the user's cache folder.

internal import HostSystem

/// The files of pipeline caches. What is damaged or cannot be written is no error: shaders are compiled anew.
struct PipelineStore {
    /// A driver's cache of our shaders takes some megabytes; more was not written by us.
    static let maximumByteCount = 64 << 20

    /// Where the files are, made when there is something to keep; nil keeps nothing.
    let folder: String?

    init(folder: String?) { self.folder = folder }

    /// In the user's cache folder.
    init(environment: [String: String] = ProcessEnvironment.variables) {
        folder = CacheFolder.path(environment: environment)
    }

    /// What was kept for a device, told by its identifier; nothing where there is none, or cannot be.
    func read(for device: String) -> [UInt8] {
        guard let path = file(for: device) else { return [] }
        return (try? readFile(path, limit: Self.maximumByteCount)) ?? []
    }

    func write(_ bytes: [UInt8], for device: String) {
        guard let folder, let path = file(for: device), bytes.count <= Self.maximumByteCount,
            FileSystem.makeFolder(folder),
            // Beside the old file, then in its place: a run that starts meanwhile reads one of both.
            let file = try? ReplacingFile(path: path), (try? file.write(bytes, at: 0)) != nil
        else { return }
        try? file.commit()
    }

    func file(for device: String) -> String? { folder.map { "\($0)/pipelines-\(device).bin" } }
}
