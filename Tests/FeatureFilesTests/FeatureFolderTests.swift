//! Holds a folder of features to its word: what was kept is read bit for bit or not at all, the folder never
//! takes more than it may, and whatever lies in it is no error.

import Foundation
import ModelFile
import TestSupport
import Testing

@testable import FeatureFiles

/// A folder of features, and what tests do with it.
private struct Place {
    let parent: TemporaryDirectory
    var url: URL { parent.url.appending(path: "features") }
    var path: String { url.path }

    init() throws { parent = try TemporaryDirectory() }

    func open(limit: Int = 1 << 30) throws -> FeatureFolder {
        try #require(FeatureFolder(path: path, limit: limit))
    }

    /// The names of the entries.
    var entries: [String] { names.filter { $0.hasSuffix(".features") } }
    var names: [String] { ((try? FileManager.default.contentsOfDirectory(atPath: path)) ?? []).sorted() }

    func url(of image: UInt128) -> URL { url.appending(path: EntryName.entry(image)) }

    func contents(of image: UInt128) throws -> [UInt8] { Array(try Data(contentsOf: url(of: image))) }

    func replace(_ image: UInt128, _ bytes: [UInt8]) throws { try Data(bytes).write(to: url(of: image)) }

    /// Bytes of all entries.
    var byteCount: Int {
        entries.reduce(0) { sum, name in
            let file = url.appending(path: name).path
            let attributes = try? FileManager.default.attributesOfItem(atPath: file)
            return sum + ((attributes?[.size] as? Int) ?? 0)
        }
    }
}

/// Features that `seed` decides; any bits are numbers here.
private func features(_ shape: FeatureShape, seed: Int = 1) -> [UInt8] {
    var random = SeededGenerator(seed: UInt64(seed))
    return (0..<shape.byteCount / 8).flatMap { _ in
        unsafe withUnsafeBytes(of: random.next()) { unsafe Array($0) }
    } + [UInt8](repeating: UInt8(seed & 255), count: shape.byteCount % 8)
}

extension FeatureFolder {
    /// Keeps features that lie in an array.
    fileprivate func keep(_ bytes: [UInt8], _ image: UInt128, _ shape: FeatureShape) {
        unsafe bytes.withUnsafeBytes { bytes in
            unsafe write(image, shape) { rows, take in
                let range = rows.lowerBound * shape.rowByteCount..<rows.upperBound * shape.rowByteCount
                unsafe take(UnsafeRawBufferPointer(rebasing: bytes[range]))
            }
        }
    }

    /// What is kept; nil where nothing is.
    fileprivate func kept(_ image: UInt128, _ shape: FeatureShape) -> [UInt8]? {
        var bytes = [UInt8](repeating: 0, count: shape.byteCount)
        let isRead = unsafe bytes.withUnsafeMutableBytes { bytes in
            unsafe read(image, shape) { rows, fill in
                let range = rows.lowerBound * shape.rowByteCount..<rows.upperBound * shape.rowByteCount
                unsafe fill(UnsafeMutableRawBufferPointer(rebasing: bytes[range]))
            }
        }
        return isRead ? bytes : nil
    }
}

private let small = FeatureShape(height: 3, width: 5, columns: 8)

@Suite struct FeatureFolderTests {
    private let place: Place

    init() throws { place = try Place() }

    // MARK: What was kept

    /// From one number to several runs of rows, and rows that are longer than a run.
    @Test(arguments: [
        small, FeatureShape(height: 1, width: 1, columns: 1),
        FeatureShape(height: 9, width: 7, columns: 4099),
        FeatureShape(height: 64, width: 16, columns: 64), FeatureShape(height: 2, width: 2, columns: 70_000),
    ])
    func whatWasKeptIsReadBitForBit(shape: FeatureShape) throws {
        let bytes = features(shape)
        do {
            let folder = try place.open()
            #expect(folder.kept(7, shape) == nil)
            folder.keep(bytes, 7, shape)
            #expect(folder.kept(7, shape) == bytes)
        }
        // Another process later.
        #expect(try place.open().kept(7, shape) == bytes)
        #expect(place.names == [EntryName.entry(7), "secret"].sorted())
        #expect(place.byteCount == 64 + shape.byteCount)
    }

    @Test func aFolderKeepsItsSecret() throws {
        let pixels = features(small)
        func number(_ folder: FeatureFolder) -> UInt128 {
            folder.numbering.number(of: pixels.span, width: 10, height: 16, for: 1)
        }
        let first = try place.open()
        #expect(try number(first) == number(place.open()))
        #expect(try number(first) != number(Place().open()))
    }

    @Test func othersMayNeitherReadNorWrite() throws {
        // Where the process itself would allow it.
        let old = umask(0)
        defer { umask(old) }
        let folder = try place.open()
        folder.keep(features(small), 1, small)
        func mode(_ path: String) throws -> Int? {
            try FileManager.default.attributesOfItem(atPath: path)[.posixPermissions] as? Int
        }
        #expect(try mode(place.path) == 0o700)
        for name in place.names { #expect(try mode("\(place.path)/\(name)") == 0o600) }
        #expect(place.names.count == 2)
        // Names may be seen where the folder's owner allows it; nobody else may write.
        for (permissions, isUsed) in [(0o755, true), (0o720, false), (0o702, false), (0o777, false)] {
            try FileManager.default.setAttributes([.posixPermissions: permissions], ofItemAtPath: place.path)
            let again = FeatureFolder(path: place.path, limit: 1 << 20)
            #expect(again?.kept(1, small) == (isUsed ? features(small) : nil))
            #expect(try mode(place.path) == permissions)
        }
    }

    @Test func whatFailsHalfwayIsNotKept() throws {
        struct Fault: Error {}
        let folder = try place.open()
        let shape = FeatureShape(height: 64, width: 16, columns: 256)
        #expect(throws: Fault.self) {
            try unsafe folder.write(3, shape) { (rows, take) throws(Fault) in
                if rows.lowerBound > 0 { throw Fault() }
                let run = [UInt8](repeating: 1, count: rows.count * shape.rowByteCount)
                unsafe run.withUnsafeBytes { unsafe take($0) }
            }
        }
        #expect(place.names == ["secret"] && folder.kept(3, shape) == nil)
    }

    // MARK: Damage

    @Test func everyBitOfAnEntryCounts() throws {
        let folder = try place.open()
        let bytes = features(small)
        folder.keep(bytes, 5, small)
        let file = try place.contents(of: 5)
        // All of the head, and some of the features.
        let cases = min(caseCount(2000), file.count * 8)
        for index in 0..<cases {
            let bit = index < 512 ? index : 512 + (index - 512) * (file.count * 8 - 512) / (cases - 512)
            var damaged = file
            damaged[bit / 8] ^= 1 << UInt8(bit % 8)
            try place.replace(5, damaged)
            #expect(folder.kept(5, small) == nil, "bit \(bit)")
            #expect(place.entries.isEmpty, "bit \(bit)")
        }
        folder.keep(bytes, 5, small)
        #expect(folder.kept(5, small) == bytes)
    }

    @Test func anEntryOfAnyOtherLengthIsNone() throws {
        let folder = try place.open()
        let shape = FeatureShape(height: 64, width: 16, columns: 256)
        folder.keep(features(shape), 5, shape)
        let file = try place.contents(of: 5)
        let lengths =
            Array(0...70) + [127, 128, 4096, 262_143, 262_144, 262_145, 262_208, file.count - 1]
        for length in lengths {
            try place.replace(5, Array(file[..<length]))
            #expect(folder.kept(5, shape) == nil, "\(length) bytes")
            #expect(place.entries.isEmpty, "\(length) bytes")
        }
        for more in [1, 64, 1 << 20] {
            try place.replace(5, file + [UInt8](repeating: 0, count: more))
            #expect(folder.kept(5, shape) == nil && place.entries.isEmpty)
        }
        try place.replace(5, file)
        #expect(folder.kept(5, shape) == features(shape))
    }

    /// Heads with right checksums that say what is not so.
    @Test func anEntryOfAnotherImageShapeOrVersionIsNone() throws {
        let folder = try place.open()
        folder.keep(features(small), 5, small)
        let file = try place.contents(of: 5)
        func sealed(_ change: (inout [UInt8]) -> Void) -> [UInt8] {
            var forged = file
            change(&forged)
            var checksum: [UInt8] = []
            checksum.append(littleEndian: EntryChecksum.of(forged[..<56]))
            forged.replaceSubrange(56..<64, with: checksum)
            return forged
        }
        #expect(sealed { _ in } == file)
        for byte in 0..<56 {
            for value in [0, 1, 0x7F, 0x80, 0xFF] as [UInt8] where value != file[byte] {
                try place.replace(5, sealed { $0[byte] = value })
                #expect(folder.kept(5, small) == nil && place.entries.isEmpty, "byte \(byte): \(value)")
            }
        }
        // Sizes whose products pass every number.
        for range in [12..<16, 32..<36, 36..<40, 40..<48, 12..<48] {
            try place.replace(5, sealed { for byte in range { $0[byte] = 0xFF } })
            #expect(folder.kept(5, small) == nil && place.entries.isEmpty)
        }
        // Renamed, it is still that of the image it was made for.
        try place.replace(6, file)
        #expect(folder.kept(6, small) == nil && place.entries.isEmpty)
        // As many bytes in another shape are another's.
        try place.replace(5, file)
        #expect(folder.kept(5, FeatureShape(height: 5, width: 3, columns: 8)) == nil && place.entries.isEmpty)
    }

    @Test func whatIsNoFileIsNotRead() throws {
        let folder = try place.open()
        folder.keep(features(small), 5, small)
        let outside = try place.parent.write(try place.contents(of: 5), to: "outside")
        let url = place.url(of: 5)
        // A link is removed, and not what it leads to.
        try FileManager.default.removeItem(at: url)
        try FileManager.default.createSymbolicLink(atPath: url.path, withDestinationPath: outside)
        #expect(folder.kept(5, small) == nil && place.entries.isEmpty)
        #expect(FileManager.default.fileExists(atPath: outside))
        // Nobody writes into this pipe, and nobody waits for that.
        #expect(unsafe mkfifo(url.path, 0o600) == 0)
        #expect(folder.kept(5, small) == nil && place.entries.isEmpty)
        // A folder stays, and what should be in its place is not kept.
        try FileManager.default.createDirectory(at: url, withIntermediateDirectories: false)
        #expect(folder.kept(5, small) == nil)
        folder.keep(features(small), 5, small)
        #expect(folder.kept(5, small) == nil && place.names == [EntryName.entry(5), "secret"].sorted())
        // An entry is written over a link, and not to where it leads.
        try FileManager.default.createSymbolicLink(
            atPath: place.url(of: 6).path, withDestinationPath: outside)
        let before = try Data(contentsOf: URL(filePath: outside))
        folder.keep(features(small, seed: 9), 6, small)
        #expect(folder.kept(6, small) == features(small, seed: 9))
        #expect(try Data(contentsOf: URL(filePath: outside)) == before)
    }

    @Test(arguments: [0, 1, 12, 100, 395, 396, 404, 5000])
    func aSecretOfAnyOtherLengthIsMadeAnew(byteCount: Int) throws {
        let url = place.url.appending(path: "secret")
        let before = try place.open()
        let file = Array(try Data(contentsOf: url))
        before.keep(features(small), 5, small)
        let bytes = (file + [UInt8](repeating: 7, count: 5000)).prefix(byteCount)
        try Data(bytes).write(to: url)
        let after = try place.open()
        #expect((after.numbering.secret == before.numbering.secret) == (byteCount == file.count))
        #expect(try place.open().numbering.secret == after.numbering.secret)
    }

    @Test func everyByteOfASecretCounts() throws {
        let url = place.url.appending(path: "secret")
        let before = try place.open()
        let file = Array(try Data(contentsOf: url))
        for index in file.indices {
            var damaged = file
            damaged[index] ^= 1 << UInt8(index % 8)
            try Data(damaged).write(to: url)
            let after = try place.open()
            #expect(after.numbering.secret != before.numbering.secret, "byte \(index)")
            #expect(try place.open().numbering.secret == after.numbering.secret, "byte \(index)")
        }
        #expect(place.names == ["secret"])
    }

    @Test func aSecretIsReadThroughNoLink() throws {
        let outside = try Place()
        _ = try outside.open()
        try FileManager.default.createDirectory(at: place.url, withIntermediateDirectories: true)
        let secret = outside.url.appending(path: "secret").path
        try FileManager.default.createSymbolicLink(
            atPath: place.url.appending(path: "secret").path, withDestinationPath: secret)
        let before = try Data(contentsOf: URL(filePath: secret))
        #expect(try place.open().numbering.secret != outside.open().numbering.secret)
        #expect(try Data(contentsOf: URL(filePath: secret)) == before)
    }

    // MARK: Folders that cannot be used

    @Test func aLinkOrAFileInTheFoldersPlaceIsNotUsed() throws {
        let other = place.parent.url.appending(path: "other")
        try FileManager.default.createDirectory(at: other, withIntermediateDirectories: false)
        try FileManager.default.createSymbolicLink(at: place.url, withDestinationURL: other)
        #expect(FeatureFolder(path: place.path, limit: 1 << 20) == nil)
        #expect(try FileManager.default.contentsOfDirectory(atPath: other.path).isEmpty)
        try FileManager.default.removeItem(at: place.url)
        try Data().write(to: place.url)
        #expect(FeatureFolder(path: place.path, limit: 1 << 20) == nil)
        #expect(FeatureFolder(path: place.path + "/below", limit: 1 << 20) == nil)
        #expect(FeatureFolder(path: "", limit: 1) == nil)
    }

    @Test func foldersAboveAreMade() throws {
        let path = place.parent.path("a/b/c")
        let folder = try #require(FeatureFolder(path: path, limit: 1 << 20))
        folder.keep(features(small), 1, small)
        #expect(folder.kept(1, small) == features(small))
    }

    @Test func aFolderThatIsRemovedMeanwhileKeepsNothing() throws {
        let folder = try place.open()
        try FileManager.default.removeItem(at: place.url)
        folder.keep(features(small), 1, small)
        folder.touch(1)
        #expect(folder.kept(1, small) == nil)
        #expect(!FileManager.default.fileExists(atPath: place.path))
    }

    // MARK: Limits

    @Test func whatWasNotUsedTheLongestIsRemoved() throws {
        let entry = small.byteCount + 64
        let folder = try place.open(limit: 3 * entry + entry / 2)
        for image in 1...3 { folder.keep(features(small, seed: image), UInt128(image), small) }
        // Read again, and noted as used: the third is the oldest now.
        #expect(folder.kept(1, small) != nil)
        folder.touch(2)
        folder.keep(features(small, seed: 4), 4, small)
        #expect(place.entries == [1, 2, 4].map { EntryName.entry($0) })
        folder.keep(features(small, seed: 5), 5, small)
        #expect(place.entries == [2, 4, 5].map { EntryName.entry($0) })
        #expect(folder.kept(2, small) == features(small, seed: 2))
    }

    @Test func aFolderNeverTakesMoreThanItMay() throws {
        var random = SeededGenerator(seed: 3)
        let limit = 20_000
        let folder = try place.open(limit: limit)
        for image in 0..<caseCount(200) {
            let shape = FeatureShape(
                height: .random(in: 1...12, using: &random), width: .random(in: 1...12, using: &random),
                columns: .random(in: 1...40, using: &random))
            folder.keep(features(shape, seed: image), UInt128(image), shape)
            #expect(place.byteCount <= limit)
            let fits = shape.byteCount + 64 <= limit
            #expect((folder.kept(UInt128(image), shape) == features(shape, seed: image)) == fits)
        }
        #expect(place.entries.count > 1)
    }

    @Test func aLowerLimitHoldsFromTheStart() throws {
        let entry = small.byteCount + 64
        do {
            let folder = try place.open()
            for image in 1...5 { folder.keep(features(small, seed: image), UInt128(image), small) }
        }
        #expect(place.entries.count == 5)
        _ = try place.open(limit: 2 * entry)
        #expect(place.entries == [4, 5].map { EntryName.entry($0) })
        let none = try place.open(limit: 0)
        #expect(place.entries.isEmpty)
        none.keep(features(small), 1, small)
        #expect(place.entries.isEmpty)
    }

    @Test func entriesOfAnySizeMakeWay() throws {
        let folder = try place.open(limit: 1 << 20)
        for image in 1...4 {
            let path = place.url(of: UInt128(image)).path
            #expect(FileManager.default.createFile(atPath: path, contents: nil))
            let file = try FileHandle(forWritingTo: URL(filePath: path))
            // Sparse: it takes no room.
            try? file.truncate(atOffset: UInt64(1) << 43)
            try file.close()
        }
        folder.keep(features(small), 9, small)
        #expect(place.entries == [EntryName.entry(9)])
    }

    @Test func filesOfOthersAreLeftAlone() throws {
        let names = [
            "README", "x.features", "0.features", "secret.partial", "secret.x.partial", "aa.partial",
            String(repeating: "A", count: 32) + ".features", String(repeating: "0", count: 33) + ".features",
            String(repeating: "g", count: 32) + ".features",
        ]
        _ = try place.open()
        for name in names { try Data(count: 5000).write(to: place.url.appending(path: name)) }
        let folder = try place.open(limit: 1000)
        folder.keep(features(small), 1, small)
        #expect(place.names == (names + ["secret", EntryName.entry(1)]).sorted())
    }

    @Test func aFolderHoldsSoManyEntriesAndNoMore() throws {
        _ = try place.open()
        for image in 0..<FeatureLimits.maximumEntryCount + 20 {
            #expect(FileManager.default.createFile(atPath: place.url(of: UInt128(image)).path, contents: nil))
        }
        let folder = try place.open()
        #expect(place.entries.count == FeatureLimits.maximumEntryCount)
        folder.keep(features(small), .max, small)
        #expect(place.entries.count == FeatureLimits.maximumEntryCount)
        #expect(folder.kept(.max, small) == features(small))
    }

    // MARK: Several at once

    @Test func whatAStoppedProcessLeftIsRemoved() throws {
        let folder = try place.open()
        let partial = EntryName.partial(of: EntryName.entry(1))
        let secret = EntryName.partial(of: "secret")
        for name in [partial, secret] { try Data(count: 100).write(to: place.url.appending(path: name)) }
        // One that is being written is held by its writer, and stays.
        let writing = EntryName.partial(of: EntryName.entry(2))
        do {
            let file = PrivateFolder(path: place.path)?.create(writing)
            _ = try place.open()
            #expect(place.names == [writing, "secret"].sorted())
            _ = consume file
        }
        _ = try place.open()
        #expect(place.names == ["secret"])
        _ = folder
    }

    /// Each writes, reads and removes what the others do.
    @Test func severalMayShareAFolder() async throws {
        let (path, rounds) = (place.path, caseCount(150))
        let wrong = await withTaskGroup(of: Int.self) { group in
            for task in 0..<4 {
                group.addTask {
                    // Of all entries, a fifth fits at a time.
                    guard let folder = FeatureFolder(path: path, limit: 10_000) else { return .max }
                    var random = SeededGenerator(seed: UInt64(task))
                    var wrong = 0
                    for _ in 0..<rounds {
                        let image = Int.random(in: 1...90, using: &random)
                        let bytes = features(small, seed: image)
                        if let kept = folder.kept(UInt128(image), small) {
                            if kept != bytes { wrong += 1 }
                        } else {
                            folder.keep(bytes, UInt128(image), small)
                        }
                    }
                    return wrong
                }
            }
            return await group.reduce(0, +)
        }
        #expect(wrong == 0)
        // A process by itself then finds the folder within its limit.
        _ = try place.open(limit: 10_000)
        #expect(place.byteCount <= 10_000 && !place.entries.isEmpty)
    }

    @Test func thoseWhoComeAtOnceAgreeOnASecret() async throws {
        for _ in 0..<caseCount(40) {
            let place = try Place()
            let path = place.path
            let secrets = await withTaskGroup(of: [UInt8]?.self) { group in
                for _ in 0..<6 { group.addTask { FeatureFolder(path: path, limit: 0)?.numbering.secret } }
                return await group.reduce(into: Set<[UInt8]?>()) { $0.insert($1) }
            }
            #expect(secrets.count == 1 && secrets.first != .some(nil))
            #expect(place.names == ["secret"])
        }
    }
}
