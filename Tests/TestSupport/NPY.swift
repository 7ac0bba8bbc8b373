//! Reads NumPy's .npy files, in which the reference's tensors are stored.

public import Foundation

/// One array of a .npy file: little-endian, in C order (format versions 1 to 3).
public struct NPY {
    /// Why a file is no array that this reader knows.
    public struct FormatError: Error, CustomStringConvertible {
        public let description: String
    }

    /// The type of the elements, as NumPy spells it.
    public enum ElementType: String, Sendable {
        case float32 = "<f4"
        case float16 = "<f2"
        case int64 = "<i8"
        case int32 = "<i4"
        case uint8 = "|u1"

        var size: Int {
            switch self {
            case .int64: 8
            case .float32, .int32: 4
            case .float16: 2
            case .uint8: 1
            }
        }
    }

    /// Extents from the outermost dimension.
    public let shape: [Int]
    public let elementType: ElementType
    /// The elements as they are stored.
    public let data: [UInt8]

    /// Elements in all.
    public var count: Int { shape.reduce(1, *) }

    /// Reads the file at `url`.
    public init(contentsOf url: URL) throws {
        try self.init([UInt8](Data(contentsOf: url)))
    }

    /// Reads the file whose content is `file`.
    public init(_ file: [UInt8]) throws {
        guard file.count >= 12, Array(file[0..<6]) == [0x93] + Array("NUMPY".utf8) else {
            throw FormatError(description: "no .npy file")
        }
        let lengthSize = file[6] == 1 ? 2 : 4
        let headerSize = (0..<lengthSize).reduce(0) { $0 | Int(file[8 + $1]) << (8 * $1) }
        let start = 8 + lengthSize
        guard file.count - start >= headerSize else {
            throw FormatError(description: "the header is cut short")
        }
        let header = String(decoding: file[start..<start + headerSize], as: UTF8.self)
        guard let type = header.firstMatch(of: /'descr': '([^']*)'/)?.1,
            let shape = header.firstMatch(of: /'shape': \(([0-9, ]*)\)/)?.1,
            header.contains("'fortran_order': False")
        else { throw FormatError(description: "unknown header \(header)") }
        guard let elementType = ElementType(rawValue: String(type)) else {
            throw FormatError(description: "unknown element type \(type)")
        }
        self.elementType = elementType
        self.shape = shape.split(separator: ",").compactMap { Int($0.trimmingCharacters(in: .whitespaces)) }
        data = Array(file[(start + headerSize)...])
        guard data.count == count * elementType.size else {
            throw FormatError(description: "\(data.count) bytes do not fill \(self.shape) of \(type)")
        }
    }

    /// The elements, in C order, as float32.
    public func floats() -> [Float] {
        switch elementType {
        case .float32: (0..<count).map { Float(bitPattern: bits($0)) }
        case .float16: (0..<count).map { Float(Float16(bitPattern: bits($0))) }
        case .int64, .int32, .uint8: integers().map(Float.init)
        }
    }

    /// The elements, in C order; floats are cut off behind the point.
    public func integers() -> [Int] {
        switch elementType {
        case .int64: (0..<count).map { Int(Int64(bitPattern: bits($0))) }
        case .int32: (0..<count).map { Int(Int32(bitPattern: bits($0))) }
        case .uint8: data.map(Int.init)
        case .float32, .float16: floats().map { Int($0) }
        }
    }

    /// The little-endian integer that element `index` is.
    private func bits<Bits: FixedWidthInteger>(_ index: Int) -> Bits {
        let size = Bits.bitWidth / 8
        return (0..<size).reduce(0) { $0 | Bits(data[index * size + $1]) << Bits(8 * $1) }
    }
}
