//! Where compiled shaders are kept between runs: a file a device in the user's cache folder.

internal import Foundation
internal import VulkanCompute

/// The files of pipeline caches. What is damaged or cannot be written is no error: shaders are compiled anew.
enum PipelineStore {
    /// A driver's cache of our shaders takes some megabytes; more was not written by us.
    private static let maximumByteCount = 64 << 20

    static func read(for device: PhysicalDevice) -> [UInt8] {
        guard let url = file(for: device),
            let size = try? url.resourceValues(forKeys: [.fileSizeKey]).fileSize, size <= maximumByteCount,
            let data = try? Data(contentsOf: url)
        else { return [] }
        return [UInt8](data)
    }

    static func write(_ bytes: [UInt8], for device: PhysicalDevice) {
        guard let url = file(for: device), bytes.count <= maximumByteCount else { return }
        try? FileManager.default.createDirectory(
            at: url.deletingLastPathComponent(), withIntermediateDirectories: true)
        // Beside the old file, then in its place: a run that starts meanwhile reads one of both.
        try? Data(bytes).write(to: url, options: .atomic)
    }

    /// In `$XDG_CACHE_HOME/thimble` or `~/.cache/thimble`; nil where there is no home either.
    private static func file(for device: PhysicalDevice) -> URL? {
        let environment = ProcessInfo.processInfo.environment
        let folder: URL
        if let cache = environment["XDG_CACHE_HOME"], cache.hasPrefix("/") {
            folder = URL(filePath: cache, directoryHint: .isDirectory)
        } else if let home = environment["HOME"], home.hasPrefix("/") {
            folder = URL(filePath: home, directoryHint: .isDirectory).appending(path: ".cache")
        } else {
            return nil
        }
        return folder.appending(path: "thimble/pipelines-\(device.identifier).bin")
    }
}
