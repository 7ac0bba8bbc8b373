//! Holds what loading is said to have reached.

import Testing
import Thimble

@Test func loadingIsHeldAgainstItsSlowestPart() {
    func rates(_ disk: Double, _ decompression: Double, _ copy: Double?) -> LoadingRates {
        LoadingRates(
            bytesPerSecond: 3, diskBytesPerSecond: disk, readsDirectly: true,
            decompressionBytesPerSecond: decompression, copyBytesPerSecond: copy)
    }
    #expect(rates(6, 7, nil).boundBytesPerSecond == 6)
    #expect(rates(8, 7, nil).boundBytesPerSecond == 7)
    #expect(rates(8, 7, 5).boundBytesPerSecond == 5)
    #expect(rates(6, 7, 8).share == 0.5)
    #expect(rates(2, 7, nil).share == 1.5)
}
