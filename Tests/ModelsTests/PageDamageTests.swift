//! Holds what becomes of pages that are damaged on disk: their sequences end before them, and others never
//! notice.

import CPUBackend
import Foundation
import Glibc
import SessionFiles
import Tensors
import TestSupport
import Testing

@testable import Models

/// Changes every byte of the one file without a name that this process has in `folder`.
private func damageFile(in folder: TemporaryDirectory) throws {
    var damaged = 0
    for name in try FileManager.default.contentsOfDirectory(atPath: "/proc/self/fd") {
        let link = "/proc/self/fd/\(name)"
        var target = [UInt8](repeating: 0, count: 4096)
        let length = unsafe readlink(link, &target, target.count)
        guard length > 0, String(decoding: target[..<length], as: UTF8.self).hasPrefix(folder.url.path) else {
            continue
        }
        let file = unsafe open(link, O_RDWR | O_CLOEXEC)
        defer { close(file) }
        var bytes = [UInt8](repeating: 0, count: 1 << 20)
        let count = unsafe pread(file, &bytes, bytes.count, 0)
        try #require(count > 0)
        for index in 0..<count { bytes[index] = ~bytes[index] }
        try #require(unsafe pwrite(file, bytes, count, 0) == count)
        damaged += 1
    }
    try #require(damaged == 1)
}

@Test func aDamagedPageIsComputedAnew() throws {
    let folder = try TemporaryDirectory()
    let pool = try KVPool(
        layerCount: 2, kvHeads: 1, headSize: 8, tokenCapacity: 32, pageTokens: 4,
        on: CPUBackend(threadCount: 1))
    try pool.spill(to: SpillSettings(folder: folder.url.path))
    let document = textTokens(12)
    let first = MarkedSequence(pool: pool, capacity: 32)
    try first.run(inputs(document + [1, 2]))
    let second = MarkedSequence(pool: pool, capacity: 32)
    try second.run(inputs(document + [3]))
    // The last page of the first one and two of those that they share go to disk.
    let other = MarkedSequence(pool: pool, capacity: 32)
    try other.run(inputs(textTokens(24, seed: 5)))
    #expect(pool.book.copyUseCount == 3)
    try damageFile(in: folder)
    #expect(try other.isIntact())
    // Each ends before what it has lost: the second and the third page, that both hold.
    #expect(try first.isIntact() && first.sequence.length == 4)
    #expect(try second.isIntact() && second.sequence.length == 4)
    // Nobody finds a page that is lost.
    #expect(try second.run(inputs(document + [3])) == 4)
    #expect(try first.run(inputs(document + [1, 2])) == 12)
    #expect(try first.isIntact() && second.isIntact() && other.isIntact())
}
