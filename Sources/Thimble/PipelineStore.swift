//! Where compiled shaders are kept between runs: a file a device in the user's cache folder.

internal import FoundationEssentials

/// The files of pipeline caches. What is damaged or cannot be written is no error: shaders are compiled anew.
struct PipelineStore {
    /// A driver's cache of our shaders takes some megabytes; more was not written by us.
    static let maximumByteCount = 64 << 20

    /// Where the files are, made when there is something to keep; nil keeps nothing.
    let folder: URL?

    init(folder: URL?) { self.folder = folder }

    /// In the user's cache folder.
    init(environment: [String: String] = ProcessInfo.processInfo.environment) {
        folder = CacheFolder.url(environment)
    }

    /// What was kept for a device, told by its identifier; nothing where there is none, or cannot be.
    func read(for device: String) -> [UInt8] {
        guard let url = file(for: device) else { return [] }
        return (try? readFile(url.path, limit: Self.maximumByteCount)) ?? []
    }

    func write(_ bytes: [UInt8], for device: String) {
        guard let folder, let url = file(for: device), bytes.count <= Self.maximumByteCount else { return }
        try? FileManager.default.createDirectory(at: folder, withIntermediateDirectories: true)
        // Beside the old file, then in its place: a run that starts meanwhile reads one of both.
        try? Data(bytes).write(to: url, options: .atomic)
    }

    func file(for device: String) -> URL? { folder?.appending(path: "pipelines-\(device).bin") }
}
