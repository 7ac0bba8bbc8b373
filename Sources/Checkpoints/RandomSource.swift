//! Random weights of any configuration, for measurements without a checkpoint.

public import ModelFile

/// Tensors of random values: about normal with a deviation of 0.02, norms near 1. The same seed gives the
/// same weights, however they are cut when read.
public struct RandomSource: TensorSource {
    /// The configuration whose tensors are made up.
    public let configuration: ModelConfiguration
    /// Decides every value.
    public let seed: UInt64
    /// Words for error messages.
    public var location: String { "random weights" }
    /// Nil: there is every tensor.
    public var tensorCount: Int? { nil }

    /// Throws when the configuration is not one that can be computed with.
    public init(configuration: ModelConfiguration, seed: UInt64 = 0) throws(CheckpointError) {
        do throws(ConfigurationFault) { try configuration.validate() } catch {
            throw CheckpointError(.unsupported, file: "random weights", "\(error)")
        }
        self.configuration = configuration
        self.seed = seed
    }

    /// A tensor of the first name and of the shape asked for.
    public func tensor(_ names: [String], shape: [Int]) throws(CheckpointError) -> SourceTensor {
        SourceTensor(name: names[0], shape: shape, elementByteCount: 2)
    }

    /// Generates the values of `rows`.
    public func read(
        _ tensor: SourceTensor, rows: Range<Int>, into values: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) {
        let isNorm = tensor.name.contains("norm") && tensor.name.hasSuffix(".weight")
        // FNV-1a of the name: unlike Hasher, the same in every process.
        let key = tensor.name.utf8.reduce(seed ^ 0xCBF2_9CE4_8422_2325) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01B3
        }
        let columns = tensor.columns
        for (index, row) in rows.enumerated() {
            var state = Self.mixed(key &+ Self.mixed(UInt64(row)))
            for column in 0..<columns {
                state &+= 0x9E37_79B9_7F4A_7C15
                let noise = Self.normal(Self.mixed(state)) * 0.02
                unsafe values[index * columns + column] = isNorm ? 1 + noise : noise
            }
        }
    }

    /// SplitMix64's output function (Steele, Lea, Flood 2014).
    private static func mixed(_ state: UInt64) -> UInt64 {
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// A sum of four uniform numbers, scaled to a deviation of 1.
    private static func normal(_ bits: UInt64) -> Float {
        let sum = (bits & 0xFFFF) + (bits >> 16 & 0xFFFF) + (bits >> 32 & 0xFFFF) + (bits >> 48)
        return (Float(Int(sum)) / 65_536 - 2) * 1.732_050_8
    }
}
