//! Random weights of any configuration, for measurements without a checkpoint.

public import ModelFile
internal import TextSearch

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

    /// Numbers that are made do not change.
    public func checkUnchanged() throws(CheckpointError) {}

    /// Generates the values of `elements`.
    public func read(
        _ tensor: SourceTensor, elements: Range<Int>, into values: UnsafeMutableBufferPointer<Float>
    ) throws(CheckpointError) {
        precondition(values.count >= elements.count, "elements are generated into room for them")
        let center: Float = tensor.name.holds("norm") && tensor.name.hasSuffix(".weight") ? 1 : 0
        // FNV-1a of the name: unlike Hasher, the same in every process.
        let key = tensor.name.utf8.reduce(seed ^ 0xCBF2_9CE4_8422_2325) {
            ($0 ^ UInt64($1)) &* 0x100_0000_01B3
        }
        let columns = tensor.columns
        var element = elements.lowerBound
        while element < elements.upperBound {
            let (row, column) = element.quotientAndRemainder(dividingBy: columns)
            let count = min(columns - column, elements.upperBound - element)
            let state = Self.mixed(key &+ Self.mixed(UInt64(row))) &+ UInt64(column) &* Self.increment
            let target = unsafe values.baseAddress! + (element - elements.lowerBound)
            unsafe Self.fill(target, count: count, center: center, state: state)
            element += count
        }
    }

    /// Writes `count` values of one row; `state` is the generator's before the first.
    private static func fill(
        _ values: UnsafeMutablePointer<Float>, count: Int, center: Float, state: UInt64
    ) {
        var state = state
        var index = 0
        while index < count {
            // The integers come one by one, and become floats eight at a time.
            var sums = SIMD8<Int32>()
            for lane in 0..<8 {
                state &+= increment
                sums[lane] = sum(mixed(state))
            }
            // A sum of four uniform numbers, scaled to a deviation of 1 and then of 0.02.
            let normal = (SIMD8<Float>(sums) / 65_536 - 2) * 1.732_050_8
            let floats = normal * 0.02 + center
            if index + 8 <= count {
                unsafe UnsafeMutableRawPointer(values + index).storeBytes(of: floats, as: SIMD8<Float>.self)
            } else {
                for lane in 0..<(count - index) { unsafe values[index + lane] = floats[lane] }
            }
            index += 8
        }
    }

    /// What SplitMix64 adds to its state for each number.
    private static let increment: UInt64 = 0x9E37_79B9_7F4A_7C15

    /// SplitMix64's output function (Steele, Lea, Flood 2014).
    private static func mixed(_ state: UInt64) -> UInt64 {
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }

    /// The sum of the four 16-bit numbers in `bits`.
    private static func sum(_ bits: UInt64) -> Int32 {
        let pairs = (bits & 0xFFFF_0000_FFFF) &+ (bits >> 16 & 0xFFFF_0000_FFFF)
        return Int32(truncatingIfNeeded: pairs) &+ Int32(truncatingIfNeeded: pairs >> 32)
    }
}
