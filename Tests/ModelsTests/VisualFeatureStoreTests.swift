//! Holds the store of features against a list that does the same the slow way: what is kept, what makes way,
//! and that values stay what they were wherever they are moved to.

import CPUBackend
import TestSupport
import Tensors
import Testing

@testable import Models

/// A store whose values are easily told: each number of an image's features is the image's.
private struct Shelf {
    let store: VisualFeatureStore
    private let backend = CPUBackend(threadCount: 1)

    init(capacity: Int) throws {
        store = try VisualFeatureStore(columns: 3, capacity: capacity, on: backend)
    }

    func features(_ image: Int, _ height: Int, _ width: Int) -> VisualFeatures {
        VisualFeatures(of: UInt128(image), grid: ImageGrid(height: height, width: width), in: store)
    }

    /// Puts features in, which then are held.
    func add(_ features: VisualFeatures) {
        let values = store.add(features)
        let bytes = values.offset..<values.offset + values.rows * values.columns * 4
        unsafe backend.fill(values.memory, bytes) { buffer in
            for index in 0..<values.rows * values.columns {
                unsafe buffer.storeBytes(
                    of: Float(features.image) + Float(index) / 1024, toByteOffset: index * 4, as: Float.self)
            }
        }
    }

    /// Whether the values of features are still those that were put in.
    func isWhole(_ features: VisualFeatures) throws -> Bool {
        let values = try backend.values(of: features.values)
        return values.count == features.grid.count * 3
            && values.indices.allSatisfy { values[$0] == Float(features.image) + Float($0) / 1024 }
    }
}

@Suite struct VisualFeatureStoreTests {
    @Test func whatWasNotAskedForTheLongestMakesWay() throws {
        let shelf = try Shelf(capacity: 10)
        let (a, b, c, d) = (
            shelf.features(1, 2, 2), shelf.features(2, 1, 3), shelf.features(3, 3, 1), shelf.features(4, 1, 3)
        )
        for features in [a, b, c] {
            shelf.add(features)
            features.release()
        }
        #expect(shelf.store.count == 10)
        // Asked for again: the second is the oldest now.
        #expect(shelf.store.hold(a))
        a.release()
        shelf.add(d)
        #expect([a, b, c, d].map(shelf.store.has) == [true, false, true, true])
        #expect(shelf.store.hold(b) == false)
        for features in [a, c, d] { #expect(try shelf.isWhole(features)) }
    }

    @Test func whatIsHeldStaysWhateverComes() throws {
        let shelf = try Shelf(capacity: 8)
        let held = shelf.features(1, 1, 3)
        shelf.add(held)
        #expect(shelf.store.hold(held))
        held.release()
        for image in 2..<20 {
            let other = shelf.features(image, 1, 1 + image % 5)
            #expect(shelf.store.hasRoom(for: other))
            shelf.add(other)
            other.release()
            #expect(try shelf.isWhole(held))
        }
        // Beside what is held, five rows can be had and not one more; what is there has its room.
        #expect(shelf.store.hasRoom(for: shelf.features(30, 5, 1)))
        #expect(!shelf.store.hasRoom(for: shelf.features(31, 6, 1)))
        #expect(shelf.store.hasRoom(for: held))
        held.release()
        #expect(shelf.store.hasRoom(for: shelf.features(31, 8, 1)))
        #expect(!shelf.store.hasRoom(for: shelf.features(32, 9, 1)))
    }

    @Test func gapsAreClosedWhereNoneIsLargeEnough() throws {
        let shelf = try Shelf(capacity: 12)
        let all = (1...6).map { shelf.features($0, 2, 1) }
        for features in all { shelf.add(features) }
        // Each second one goes: six rows in gaps of two.
        for index in [0, 2, 4] { shelf.store.remove(all[index]) }
        let large = shelf.features(9, 2, 3)
        shelf.add(large)
        #expect(shelf.store.count == 12)
        for features in [all[1], all[3], all[5], large] { #expect(try shelf.isWhole(features)) }
    }

    @Test func featuresThatCouldNotBeComputedLeaveNothing() throws {
        let shelf = try Shelf(capacity: 4)
        let features = shelf.features(1, 2, 2)
        shelf.add(features)
        shelf.store.remove(features)
        #expect(!shelf.store.has(features) && shelf.store.count == 0)
        shelf.add(features)
        #expect(try shelf.isWhole(features))
    }

    @Test func afterAFaultNothingIsBelieved() throws {
        let shelf = try Shelf(capacity: 8)
        let (free, held) = (shelf.features(1, 2, 2), shelf.features(2, 2, 1))
        shelf.add(free)
        free.release()
        shelf.add(held)
        shelf.store.removeAll()
        #expect(!shelf.store.has(free) && shelf.store.count == 2)
        held.release()
        #expect(!shelf.store.has(held) && shelf.store.count == 0)
    }

    /// Images of one to twelve rows come, are held, released and come again, in a store of 40.
    @Test func aStoreIsWhatAListOfItsImagesIs() throws {
        var random = SeededGenerator(seed: 21)
        for _ in 0..<caseCount(60) {
            let shelf = try Shelf(capacity: 40)
            /// From the one that was not asked for the longest on.
            var list: [(features: VisualFeatures, holders: Int)] = []
            for _ in 0..<200 {
                let image = Int.random(in: 1...24, using: &random)
                let features = shelf.features(image, 1 + image % 3, 1 + image / 3 % 4)
                if Bool.random(using: &random), let index = list.firstIndex(where: { $0.holders > 0 }) {
                    list[index].holders -= 1
                    list[index].features.release()
                    continue
                }
                let heldRows = list.reduce(0) { $0 + ($1.holders > 0 ? $1.features.grid.count : 0) }
                let place = list.firstIndex { $0.features.image == features.image }
                let hasRoom = place != nil || features.grid.count <= 40 - heldRows
                #expect(shelf.store.hasRoom(for: features) == hasRoom)
                #expect(shelf.store.hold(features) == (place != nil))
                if let place {
                    let known = list.remove(at: place)
                    list.append((known.features, known.holders + 1))
                } else if hasRoom {
                    shelf.add(features)
                    func rows() -> Int { list.reduce(0) { $0 + $1.features.grid.count } }
                    while rows() + features.grid.count > 40 {
                        list.remove(at: try #require(list.firstIndex { $0.holders == 0 }))
                    }
                    list.append((features, 1))
                }
                #expect(shelf.store.count == list.reduce(0) { $0 + $1.features.grid.count })
                for (features, _) in list { #expect(try shelf.isWhole(features)) }
            }
        }
    }
}
