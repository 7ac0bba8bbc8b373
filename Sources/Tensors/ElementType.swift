//! The number formats a weight or an activation can be stored in.

/// How one element of a matrix is stored.
///
/// `q8` and `q4` are integers with one float16 scale for each group of `WeightFormat.group` elements along
/// the input dimension; an element's value is `scale * code` (`q8`, code in -127...127) or
/// `scale * (code - 8)` (`q4`, code in 0...15).
public enum ElementType: String, Codable, Sendable, CaseIterable {
    case f32
    case f16
    case q8
    case q4

    /// Bits one element takes, scales not counted.
    public var bitCount: Int {
        switch self {
        case .f32: 32
        case .f16: 16
        case .q8: 8
        case .q4: 4
        }
    }

    /// Whether elements are codes that need a scale.
    public var isQuantized: Bool { self == .q8 || self == .q4 }

    /// How many consecutive inputs of one row share a 32-bit word in the tiled layout.
    public var elementsPerWord: Int { 32 / bitCount }
}

/// An element type with the size of the groups that share a scale.
public struct WeightFormat: Hashable, Codable, Sendable {
    public var type: ElementType
    /// Elements along the input dimension that share one scale: 32, 64 or 128; 0 where the type has no
    /// scales.
    public var group: Int

    /// Precondition: `group` is 32, 64 or 128 for a quantized type.
    public init(_ type: ElementType, group: Int = 32) {
        precondition(!type.isQuantized || [32, 64, 128].contains(group), "a group is 32, 64 or 128 elements")
        self.type = type
        self.group = type.isQuantized ? group : 0
    }

    public static let f32 = WeightFormat(.f32)
    public static let f16 = WeightFormat(.f16)
    public static func q8(group: Int) -> WeightFormat { WeightFormat(.q8, group: group) }
    public static func q4(group: Int) -> WeightFormat { WeightFormat(.q4, group: group) }
}
