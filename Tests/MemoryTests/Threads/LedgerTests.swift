//! The ledger: what it grants, what it refuses, and what it remembers.

import Memory
import Tensors
import TestSupport
import Testing

@Suite struct LedgerTests {
    @Test func whatFitsIsGrantedToTheLastByte() throws {
        let ledger = Ledger(LedgerLimits(device: 100, host: 50))
        try ledger.draw(100, of: .device, for: "weights")
        try ledger.draw(50, of: .host, for: "weights")
        #expect(ledger.held(.device) == 100)
        #expect(ledger.held(.host) == 50)
    }

    @Test(arguments: MemoryPlace.allCases)
    func aByteMoreIsRefusedByNameAndNumbers(place: MemoryPlace) throws {
        let ledger = Ledger(LedgerLimits(device: 100, host: 100))
        try ledger.draw(60, of: place, for: "weights")
        let error = #expect(throws: BackendError.self) {
            try ledger.draw(41, of: place, for: "activations")
        }
        #expect(error?.code == .outOfMemory)
        for part in ["activations", "41", "40", "100", place.rawValue] {
            #expect(error?.message.contains(part) == true)
        }
        #expect(ledger.held(place) == 60, "what is refused is not drawn")
        #expect(ledger.entries.map(\.name) == ["weights"])
    }

    @Test func twoPlacesMayShareALimit() throws {
        let ledger = Ledger(LedgerLimits(device: 80, host: 80, total: 100))
        try ledger.draw(70, of: .device, for: "weights")
        #expect(throws: BackendError.self) { try ledger.draw(31, of: .host, for: "weights") }
        try ledger.draw(30, of: .host, for: "weights")
    }

    @Test func whatIsGivenBackCanBeDrawnAgainAndThePeakStays() throws {
        let ledger = Ledger(LedgerLimits(host: 100))
        try ledger.draw(90, of: .host, for: "pages")
        ledger.giveBack(90, of: .host, for: "pages")
        try ledger.draw(80, of: .host, for: "pages")
        #expect(ledger.entries.map(\.byteCount) == [80])
        #expect(ledger.entries.map(\.peak) == [90])
        #expect(ledger.peak(.host) == 90)
    }

    @Test func anOwnerThatGoesGivesBack() throws {
        let ledger = Ledger(LedgerLimits(host: 100))
        do {
            let drawn = try DrawnBytes(100, of: .host, for: "scratch", from: ledger)
            #expect(ledger.held(.host) == 100)
            _ = consume drawn
        }
        #expect(ledger.held(.host) == 0)
        #expect(throws: BackendError.self) {
            _ = try DrawnBytes(101, of: .host, for: "scratch", from: ledger)
        }
        #expect(ledger.held(.host) == 0, "what was refused is not given back")
    }

    @Test func withoutLimitsAllIsGrantedAndCounted() throws {
        let ledger = Ledger()
        try ledger.draw(1 << 50, of: .host, for: "weights")
        #expect(ledger.peak(.host) == 1 << 50)
    }

    @Test func randomDrawsNeverPassALimit() throws {
        var generator = SeededGenerator(seed: 7)
        for _ in 0..<caseCount(200) {
            let (device, host) = (
                Int.random(in: 0...1000, using: &generator), Int.random(in: 0...1000, using: &generator)
            )
            let total = Int.random(in: 0...1500, using: &generator)
            let ledger = Ledger(LedgerLimits(device: device, host: host, total: total))
            var held: [(byteCount: Int, place: MemoryPlace)] = []
            for _ in 0..<50 {
                if !held.isEmpty, Bool.random(using: &generator) {
                    let last = held.removeLast()
                    ledger.giveBack(last.byteCount, of: last.place, for: "x")
                    continue
                }
                let place: MemoryPlace = Bool.random(using: &generator) ? .device : .host
                let byteCount = Int.random(in: 0...400, using: &generator)
                if (try? ledger.draw(byteCount, of: place, for: "x")) != nil {
                    held.append((byteCount, place))
                }
                for place in MemoryPlace.allCases {
                    let sum = held.reduce(0) { $0 + ($1.place == place ? $1.byteCount : 0) }
                    #expect(ledger.held(place) == sum)
                }
                #expect(ledger.held(.device) <= device && ledger.held(.host) <= host)
                #expect(ledger.held(.device) + ledger.held(.host) <= total)
            }
        }
    }
}
