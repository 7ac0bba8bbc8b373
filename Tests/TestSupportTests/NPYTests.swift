//! Arrays are read as NumPy wrote them.

import Foundation
import TestSupport
import Testing

private func file(_ type: String, _ shape: String, _ data: [UInt8]) -> [UInt8] {
    let header = "{'descr': '\(type)', 'fortran_order': False, 'shape': (\(shape)), }\n"
    return [0x93] + Array("NUMPY".utf8) + [1, 0, UInt8(header.utf8.count), 0] + Array(header.utf8) + data
}

@Test func halvesSinglesAndIntegersAreRead() throws {
    #expect(try NPY(file("<f2", "2,", [0x00, 0x3C, 0x00, 0xC0])).floats() == [1, -2])
    #expect(try NPY(file("<f4", "1, 1", [0, 0, 0x20, 0x41])).floats() == [10])
    let integers = try NPY(file("<i8", "1,", [0xFE] + Array(repeating: 0xFF, count: 7)))
    #expect(integers.integers() == [-2])
    #expect(try NPY(file("|u1", "2, 2", [1, 2, 3, 255])).shape == [2, 2])
}

@Test func whatIsCutShortOrUnknownIsRefused() {
    #expect(throws: NPY.FormatError.self) { try NPY(file("<f4", "2,", [0, 0, 0, 0])) }
    #expect(throws: NPY.FormatError.self) { try NPY(file("<c8", "0,", [])) }
    #expect(throws: NPY.FormatError.self) { try NPY([0x93]) }
}

@Test func aTemporaryDirectoryGoesWithItsOwner() throws {
    func use() throws -> String {
        let folder = try TemporaryDirectory()
        let path = try folder.write([1, 2, 3], to: "three")
        #expect(FileManager.default.contents(atPath: path) == Data([1, 2, 3]))
        return folder.url.path
    }
    #expect(!FileManager.default.fileExists(atPath: try use()))
}
