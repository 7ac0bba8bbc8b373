//! A Hugging Face folder of safetensors files as a source of tensors.

public import ModelFile

/// A checkpoint folder: config.json, and model.safetensors or the shards that model.safetensors.index.json
/// lists.
public struct SafetensorsFolder: TensorSource {
    /// The configuration that the folder's JSON files state.
    public let configuration: ModelConfiguration
    /// The folder.
    public let location: String
    private let shards: [Safetensors]
    /// Shard and entry of each tensor.
    private let places: [String: (shard: Int, entry: Int)]

    /// Tensors in all shards.
    public var tensorCount: Int? { places.count }

    /// Opens the folder and checks its configuration and the headers of all its files.
    public init(path: String) throws(CheckpointError) {
        configuration = try HuggingFaceConfiguration.read(folder: path)
        location = path
        var shards: [Safetensors] = []
        var places: [String: (shard: Int, entry: Int)] = [:]
        let index = try Self.index(folder: path)
        for name in index.map({ Set($0.values).sorted() }) ?? ["model.safetensors"] {
            let shard = try Safetensors(path: "\(path)/\(name)")
            for (number, entry) in shard.entries.enumerated() {
                guard places.updateValue((shards.count, number), forKey: entry.name) == nil else {
                    throw CheckpointError(
                        .malformed, file: shard.file.path,
                        "tensor \(entry.name.prefix(128)) is in another shard, too")
                }
            }
            shards.append(shard)
        }
        for (tensor, file) in index ?? [:]
        where places[tensor].map({ shards[$0.shard].file.path }) != "\(path)/\(file)" {
            throw CheckpointError(
                .malformed, file: "\(path)/\(file)",
                "tensor \(tensor.prefix(128)) is not in this shard, and the index says that it is")
        }
        self.shards = shards
        self.places = places
    }

    /// The shard of each tensor; nil where the folder has no index.
    private static func index(folder: String) throws(CheckpointError) -> [String: String]? {
        let path = "\(folder)/model.safetensors.index.json"
        guard let index = try JSONSection(ifPresent: path, limit: CheckpointLimits.maximumIndexByteCount)
        else { return nil }
        guard let map = try index.section("weight_map") else {
            throw index.fault("weight_map", "not an object")
        }
        var shards: [String: String] = [:]
        for name in map.members.keys {
            let file = try map.string(name) ?? ""
            // A shard is a file of this folder and nothing else.
            guard file.hasSuffix(".safetensors"), !file.contains("/"), !file.contains("\0"),
                file.utf8.count <= 255
            else { throw map.fault(name, "not the name of a safetensors file") }
            shards[name] = file
        }
        guard Set(shards.values).count <= 1024 else {
            throw index.fault("weight_map", "with too many shards")
        }
        return shards
    }

    /// The first of `names` that a shard has.
    public func tensor(_ names: [String], shape: [Int]) throws(CheckpointError) -> SourceTensor {
        guard let name = names.first(where: { places[$0] != nil }), let place = places[name] else {
            throw CheckpointError(.tensor, file: location, "tensor \(names[0]) is missing")
        }
        let entry = shards[place.shard].entries[place.entry]
        guard entry.shape == shape else {
            throw CheckpointError(
                .tensor, file: shards[place.shard].file.path,
                "tensor \(name) has the shape \(entry.shape), and the configuration calls for \(shape)")
        }
        return SourceTensor(name: name, shape: shape, elementByteCount: entry.format.byteCount)
    }

    /// A shard that somebody has written to since it was opened is an error.
    public func checkUnchanged() throws(CheckpointError) {
        for file in shards.map(\.file) {
            let hasChanged: Bool
            do throws(InputFault) { hasChanged = try file.hasChanged() } catch {
                throw CheckpointError(error.code, file: file.path, error.detail)
            }
            guard !hasChanged else {
                throw CheckpointError(
                    .unreadable, file: file.path, "the file was changed while it was being read")
            }
        }
    }

    /// Reads `elements` and widens them to float32.
    public func read(
        _ tensor: SourceTensor, elements: Range<Int>, into values: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) {
        let place = places[tensor.name]!
        let shard = shards[place.shard]
        let entry = shard.entries[place.entry]
        precondition(
            elements.upperBound <= tensor.elementCount && values.count >= elements.count,
            "elements are read into room for them")
        // The stored bytes land at the end of the room for the floats, and are widened from the front: float
        // i ends where stored element i begins, or before.
        let room = unsafe UnsafeMutableRawBufferPointer(
            UnsafeMutableBufferPointer(rebasing: values[..<elements.count]))
        let stored = unsafe UnsafeMutableRawBufferPointer(
            rebasing: room[(room.count - elements.count * entry.format.byteCount)...])
        let offset = entry.fileOffset + elements.lowerBound * entry.format.byteCount
        do throws(InputFault) {
            unsafe try shard.file.read(at: offset, into: stored)
        } catch {
            throw CheckpointError(
                error.code, file: shard.file.path, "tensor \(tensor.name): \(error.detail)")
        }
        unsafe Self.widen(stored, entry.format, into: values.baseAddress!, count: elements.count)
    }

    /// Converts stored elements to floats. `stored` may be the end of the same memory.
    private static func widen(
        _ stored: UnsafeMutableRawBufferPointer, _ format: Safetensors.ElementFormat,
        into values: UnsafeMutablePointer<Float>, count: Int
    ) {
        if format == .f32 { return }
        // Eight at a time: all are loaded before the first is stored, so the order above holds.
        for index in stride(from: 0, to: count, by: 8) {
            let width = min(8, count - index)
            var bits = SIMD8<UInt16>()
            if width == 8 {
                bits = unsafe stored.loadUnaligned(fromByteOffset: index * 2, as: SIMD8<UInt16>.self)
            } else {
                for lane in 0..<width {
                    bits[lane] = unsafe stored.loadUnaligned(
                        fromByteOffset: (index + lane) * 2, as: UInt16.self)
                }
            }
            let wide = SIMD8<UInt32>(truncatingIfNeeded: bits)
            let floats =
                format == .bf16
                ? unsafe unsafeBitCast(wide &<< 16, to: SIMD8<Float>.self) : HalfPrecision.floats(wide)
            if width == 8 {
                unsafe UnsafeMutableRawPointer(values + index).storeBytes(of: floats, as: SIMD8<Float>.self)
            } else {
                for lane in 0..<width { unsafe values[index + lane] = floats[lane] }
            }
        }
    }
}
