//! Holds what reading is said to have made of a disk.

import Testing
import Thimble

@Suite struct DiskUseTests {
    private func use(_ rates: [Double]) -> DiskUse {
        var use = DiskUse(readerCount: 4, readsDirectly: true)
        use.bytesPerSecond = rates
        return use
    }

    private func reads(_ counts: [Int]) -> [DiskUse.Reads] {
        counts.map { DiskUse.Reads(byteCount: $0, meanInFlight: 2, idleShare: 0.1) }
    }

    /// Each repetition is held against the disk before and after it, so that one that drifts decides nothing.
    @Test func aShareIsOfTheDiskAroundEachRepetition() throws {
        let drifting = use([100, 300, 500, 700])
        // 200, 400 and 600 bytes a second around them.
        let share = drifting.share(of: reads([160, 320, 900]), in: [1, 1, 2])
        #expect(share == 0.8)
        #expect(drifting.medianBytesPerSecond == 500 && drifting.bytesPerSecond.spread == 100...700)
    }

    @Test func nothingHasNoShare() {
        #expect(use([100, 100]).share(of: [], in: []) == nil)
        #expect(use([100, 100]).share(of: reads([5]), in: []) == nil)
        #expect(use([100]).share(of: reads([5]), in: [1]) == nil)
    }
}
