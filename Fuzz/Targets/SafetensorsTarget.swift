//! Fuzzes the header of a safetensors file.

@testable import Checkpoints

/// Input: 4 bytes that the header's length differs by, 2 bytes of data length, then the header's text. The
/// data are zeros, for nothing in them is parsed.
struct SafetensorsTarget: FuzzTarget {
    private let file: MemoryFile

    init() throws { file = try MemoryFile() }

    func run(_ input: [UInt8]) -> Bool {
        var reader = InputReader(input)
        let difference = UInt64(reader.uint32())
        let dataByteCount = reader.uint16()
        let header = reader.remainder()
        // The difference reaches every byte of the length.
        let length = UInt64(header.count) ^ difference ^ (difference << 32)
        var bytes: [UInt8] = (0..<8).map { UInt8(truncatingIfNeeded: length >> (8 * $0)) }
        bytes += header
        let size = bytes.count + dataByteCount
        file.replace(bytes, size: size)
        guard let tensors = try? Safetensors(path: file.path) else { return false }
        expect(difference == 0, "a header of another length was accepted")
        var end = bytes.count
        for entry in tensors.entries {
            expect(entry.fileOffset == end, "tensors overlap or leave a hole")
            expect((1...8).contains(entry.shape.count), "a shape has no dimension or too many")
            expect(entry.shape.allSatisfy { $0 > 0 }, "a shape is empty")
            end += entry.shape.reduce(entry.format.byteCount, *)
        }
        expect(end == size, "tensors do not fill the file")
        return true
    }
}
