//! Holds the count of what is written in a day: over processes, over damage, and over the hours.

import Foundation
import TestSupport
import Testing

@testable import SessionFiles

/// A folder, and a clock that a test sets.
private final class Days {
    let folder: TemporaryDirectory
    var hour = 500_000

    init() throws { folder = try TemporaryDirectory() }

    func governor(_ limit: Int) throws -> WriteGovernor {
        try WriteGovernor(folder: folder.url.path, limit: limit) { self.hour }
    }

    /// Bytes that are allowed, one thousand at a time.
    func allowed(_ governor: WriteGovernor, most: Int = 1000) throws -> Int {
        for count in 0..<most {
            do { try governor.allow(1000) } catch SpillFault.writtenADay { return count * 1000 }
        }
        return most * 1000
    }
}

@Test func noMoreIsAllowedInADayThanTheLimit() throws {
    let days = try Days()
    let governor = try days.governor(10_500)
    #expect(try days.allowed(governor) == 10_000)
    #expect(throws: SpillFault.writtenADay(limit: 10_500)) { try governor.allow(600) }
    // Less than was refused may still fit.
    try governor.allow(500)
    #expect(throws: SpillFault.self) { try governor.allow(1) }
    days.hour += 24
    #expect(throws: SpillFault.self) { try governor.allow(1) }
    days.hour += 1
    #expect(try days.allowed(governor) == 10_000)
}

@Test func hoursGoOneByOne() throws {
    let days = try Days()
    let governor = try days.governor(24_000)
    for _ in 0..<24 {
        #expect(try days.allowed(governor, most: 1) == 1000)
        days.hour += 1
    }
    #expect(try days.allowed(governor) == 0)
    // The first hour is 25 hours ago, then the second.
    for _ in 0..<20 {
        days.hour += 1
        #expect(try days.allowed(governor) == 1000)
    }
    // Long after, everything is forgotten; a clock that is set back forgets nothing.
    days.hour += 1000
    #expect(try days.allowed(governor) == 24_000)
    days.hour -= 500
    #expect(try days.allowed(governor) == 0)
}

@Test func processesShareTheCountAndGiveBackWhatTheyDidNotWrite() throws {
    let days = try Days()
    do {
        let (one, two) = (try days.governor(640_000), try days.governor(640_000))
        try one.allow(1000)
        try two.allow(1000)
        #expect(try days.allowed(one, most: 100) + days.allowed(two, most: 100) == 200_000)
        try one.allow(100)
    }
    // 202,100 bytes were written. What was entered ahead, 10,000 at a time, was given back.
    let next = try days.governor(640_000)
    #expect(try days.allowed(next) == 437_000)
}

@Test func aLargePageIsAllowedWhereTheLimitIsJustEnough() throws {
    let days = try Days()
    try days.governor(5_000_000).allow(5_000_000)
    #expect(throws: SpillFault.self) { try days.governor(5_000_000).allow(1) }
    #expect(throws: SpillFault.self) { try days.governor(0).allow(1) }
}

/// Of two records, the older is there when the newer is damaged; where none is there, all may be written.
@Test func damageIsTakenForADayWithoutMoreWriting() throws {
    let days = try Days()
    do {
        let governor = try days.governor(64_000)
        for _ in 0..<3 { try governor.allow(5000) }
    }
    let url = days.folder.url.appending(path: WriteGovernor.fileName)
    let whole = [UInt8](try Data(contentsOf: url))
    #expect(whole.count == WriteCount.distance + WriteCount.byteCount)
    for bit in stride(from: 0, to: WriteCount.byteCount * 8, by: 37) {
        for places in [[0], [WriteCount.distance], [0, WriteCount.distance]] {
            var bytes = whole
            for place in places { bytes[place + bit / 8] ^= 1 << (bit % 8) }
            try Data(bytes).write(to: url)
            let allowed = try days.allowed(try days.governor(64_000))
            #expect(places.count == 1 ? (49_000...59_000).contains(allowed) : allowed == 0)
        }
    }
    for bytes in [Data([1, 2, 3]), Data(whole.prefix(100)), Data(count: 9000)] {
        try bytes.write(to: url)
        #expect(try days.allowed(try days.governor(64_000)) == 0)
    }
    try Data().write(to: url)
    #expect(try days.allowed(try days.governor(64_000)) == 64_000)
}

@Test func numbersBeyondAllBoundsAreBorne() throws {
    var count = WriteCount(hour: .max - 1)
    count.enter(.max)
    count.enter(.max)
    #expect(count.sum == .max)
    count.move(to: .max)
    count.enter(.max)
    #expect(count.sum == .max && WriteCount(count.encoded[...]) == count)
    count.giveBack(.max, enteredIn: 0)
    count.giveBack(.max, enteredIn: .max)
    #expect(count.sum == .max)
}

@Test func aFolderThatTakesNoCountIsAnError() throws {
    let folder = try TemporaryDirectory()
    try FileManager.default.createDirectory(
        at: folder.url.appending(path: WriteGovernor.fileName), withIntermediateDirectories: false)
    let error = #expect(throws: SpillFault.self) { try WriteGovernor(folder: folder.url.path, limit: 1) }
    guard case .cannotCreate(let detail) = error else { Issue.record("\(error as Any)"); return }
    #expect(detail.contains(WriteGovernor.fileName))
}
