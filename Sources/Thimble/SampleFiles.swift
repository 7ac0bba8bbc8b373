//! The files that a disk and a decompressor are measured with.

internal import Glibc
internal import HostSystem
internal import ModelFile

/// The file whose disk is measured, and two model files that hold nothing but blocks of a kind. What was
/// written for the purpose goes away with its owner.
final class SampleFiles {
    /// The file that is written where no model is named.
    private static let diskBytes = 256 << 20

    /// Reads the file whose disk is measured.
    let disk: DiskSample
    private let diskFile: String
    /// What the user knows it by: the model, or the folder of a file that is gone when somebody reads this.
    let diskPath: String
    /// Blocks of compressed codes, and of bytes that do not compress; `rawByteCount` in each.
    let packed: ModelFile
    let plain: ModelFile
    let rawByteCount: Int
    private let folder: String

    /// Writes what is needed into a folder within `folder`, or within the system's for temporary files where
    /// that is nil; less of it where time is short.
    init(_ modelPath: String?, in folder: String?, isQuick: Bool) throws(ThimbleError) {
        let parent = folder ?? FileSystem.temporaryFolder
        // The process and a random number make the name one that nothing has.
        let folder = "\(parent)/measuring-\(getpid())-\(UInt64.random(in: 0 ... .max))"
        guard FileSystem.makeFolder(folder) else {
            throw ThimbleError(
                .cannotCreate, "\(parent): takes no folder to measure in; set XDG_CACHE_HOME")
        }
        rawByteCount = isQuick ? 2 << 20 : 16 << 20
        let diskFile = modelPath ?? "\(folder)/disk"
        do throws(ThimbleError) {
            packed = try Self.model(folder, "packed", byteCount: rawByteCount, Self.codes)
            plain = try Self.model(folder, "plain", byteCount: rawByteCount, Self.noise)
            if modelPath == nil { try Self.write(isQuick ? 4 << 20 : Self.diskBytes, to: diskFile) }
            disk = try translating { () throws(ModelFileError) in try DiskSample(path: diskFile) }
        } catch {
            FileSystem.remove(folder)
            throw error
        }
        diskPath = FileSystem.absolute(modelPath ?? parent)
        self.diskFile = diskFile
        self.folder = folder
    }

    deinit { FileSystem.remove(folder) }

    /// The number of the device that the measured file lies on.
    var device: String {
        get throws(ThimbleError) {
            guard let device = diskDevice(of: diskFile) else {
                throw ThimbleError(.io, "\(diskFile): the system does not say where it lies")
            }
            return device
        }
    }

    private static func model(
        _ folder: String, _ name: String, byteCount: Int, _ bytes: (Int) -> [UInt8]
    ) throws(ThimbleError) -> ModelFile {
        let path = "\(folder)/\(name).thimble"
        return try translating { () throws(ModelFileError) in
            var writer = try ModelFileWriter(path: path)
            try writer.appendData("blocks", bytes(byteCount))
            try writer.commit(description)
            return try ModelFile(path: path)
        }
    }

    /// Writes a file of numbers that nothing makes smaller.
    private static func write(_ byteCount: Int, to path: String) throws(ThimbleError) {
        let file = try ReplacingFile(path: path)
        let piece = noise(4 << 20)
        for offset in stride(from: 0, to: byteCount, by: piece.count) { try file.write(piece, at: offset) }
        try file.commit()
    }

    /// A model that nobody runs: files have one.
    private static let description = ModelDescription(
        name: "measurement", creator: "thimble \(Version.string)", recipe: "none",
        configuration: ModelConfiguration(
            architecture: .glm4,
            text: TextConfiguration(
                hiddenSize: 64, layerCount: 1, headCount: 1, kvHeadCount: 1, headSize: 64,
                intermediateSize: 64, vocabularySize: 64, maximumPositions: 64, rmsNormEpsilon: 1e-5,
                ropeTheta: 10_000, rotarySize: 64, mropeSections: [], hasQKVBias: false,
                tiesEmbedding: false),
            vision: nil,
            tokens: SpecialTokens(endOfSequence: [0], image: nil, imageStart: nil, imageEnd: nil, video: nil),
            image: nil,
            generation: GenerationDefaults(
                samples: false, temperature: nil, topK: nil, topP: nil, repetitionPenalty: nil)))

    /// Bytes of random numbers.
    private static func noise(_ count: Int) -> [UInt8] {
        precondition(count % 8 == 0)
        var state: UInt64 = 0x9E37_79B9_7F4A_7C15
        return unsafe [UInt8](unsafeUninitializedCapacity: count) { buffer, initializedCount in
            let words = UnsafeMutableRawBufferPointer(buffer)
            for offset in stride(from: 0, to: count, by: 8) {
                // xorshift64 (Marsaglia 2003).
                state ^= state << 13
                state ^= state >> 7
                state ^= state << 17
                unsafe words.storeBytes(of: state, toByteOffset: offset, as: UInt64.self)
            }
            initializedCount = count
        }
    }

    /// Pairs of 4-bit codes that are distributed as those of weights are: nearly normally.
    private static func codes(_ count: Int) -> [UInt8] {
        // The sum of four numbers below four, moved to lie around 8.
        func code(_ bits: UInt8) -> UInt8 {
            (bits & 3) + (bits >> 2 & 3) + (bits >> 4 & 3) + (bits >> 6 & 3) + 2
        }
        let table = (0...255).map { code(UInt8($0)) }
        let random = noise(2 * count)
        return (0..<count).map { table[Int(random[2 * $0])] | table[Int(random[2 * $0 + 1])] << 4 }
    }
}

/// The number of the device that the file at `path` lies on, its major and its minor part; nil where it is
/// not told.
func diskDevice(of path: String) -> String? {
    var status = stat()
    guard unsafe stat(path, &status) == 0 else { return nil }
    // As Linux's C libraries pack it.
    let device = UInt64(status.st_dev)
    let major = (device >> 8 & 0xFFF) | (device >> 32 & ~0xFFF)
    let minor = (device & 0xFF) | (device >> 12 & ~0xFF)
    return "\(major):\(minor)"
}
