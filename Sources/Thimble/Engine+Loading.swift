//! How near loading comes to what the machine allows.

internal import ModelFile
internal import Tensors

/// How fast a model was loaded, and how fast each part of loading is by itself. Rates are in bytes of the
/// model file a second, whatever the part moves.
public struct LoadingRates: Sendable, Equatable {
    /// The whole of loading, from opening the file to being ready. Where the system had the file in memory,
    /// it may pass the disk.
    public var bytesPerSecond: Double
    /// Reading from the disk.
    public var diskBytesPerSecond: Double
    /// Whether the disk was read past the system's cache. Else the cache was asked to forget what was read,
    /// and may not have done so.
    public var readsDirectly: Bool
    /// Checking and decompressing on all threads.
    public var decompressionBytesPerSecond: Double
    /// Copying from the host's memory to the device's; nil where the host writes that in place.
    public var copyBytesPerSecond: Double?

    public init(
        bytesPerSecond: Double, diskBytesPerSecond: Double, readsDirectly: Bool,
        decompressionBytesPerSecond: Double, copyBytesPerSecond: Double?
    ) {
        self.bytesPerSecond = bytesPerSecond
        self.diskBytesPerSecond = diskBytesPerSecond
        self.readsDirectly = readsDirectly
        self.decompressionBytesPerSecond = decompressionBytesPerSecond
        self.copyBytesPerSecond = copyBytesPerSecond
    }

    /// The slowest part: loading that did all at once could be as fast.
    public var boundBytesPerSecond: Double {
        min(diskBytesPerSecond, decompressionBytesPerSecond, copyBytesPerSecond ?? .infinity)
    }
    /// Loading's share of that, 0 to 1, or above 1 where the system had the file in memory.
    public var share: Double { bytesPerSecond / boundBytesPerSecond }
}

extension Engine {
    /// Bytes of the file whose loading is measured, and bytes that are copied to the device.
    private static let sampleByteCount = 128 << 20
    private static let copyByteCount = 64 << 20

    /// Measures the parts of loading over a sample of the file, which is taken into memory for that time.
    ///
    /// Throws `outOfMemory`, `corrupt` or `io` where the file is not what it was, and what a device may
    /// throw.
    public func loadingRates() throws(ThimbleError) -> LoadingRates {
        let (file, threadCount) = (self.file, device.threadCount)
        let sample = try translating { () throws(ModelFileError) in
            try file.sampleLoading(byteCount: Self.sampleByteCount, threadCount: threadCount)
        }
        let stored = Double(sample.storedByteCount)
        let rawByteCount = file.segments.reduce(0) { $0 + $1.entry.imageByteCount }
        var copy: Double?
        if let seconds = try secondsToCopy(byteCount: Self.copyByteCount) {
            copy = Double(Self.copyByteCount) / seconds * Double(file.byteCount) / Double(rawByteCount)
        }
        return LoadingRates(
            bytesPerSecond: Double(file.byteCount) / loadSeconds,
            diskBytesPerSecond: stored / sample.readSeconds, readsDirectly: sample.isDirect,
            decompressionBytesPerSecond: stored / sample.decompressionSeconds, copyBytesPerSecond: copy)
    }

    private func secondsToCopy(byteCount: Int) throws(ThimbleError) -> Double? {
        do { return try backend.secondsToCopy(byteCount: byteCount) } catch {
            throw ThimbleError(
                error.code == .outOfMemory ? .outOfMemory : .noDevice, "\(device.name): \(error.message)")
        }
    }
}
