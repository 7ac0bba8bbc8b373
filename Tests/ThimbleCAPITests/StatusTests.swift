//! Holds the numbers of the header against those of the library.

import CThimble
import Testing
import Thimble

@Test func everyCodeIsAStatus() {
    for code in ThimbleError.Code.allCases {
        let status = thimble_status(rawValue: UInt32(code.rawValue))
        #expect(unsafe String(cString: thimble_status_name(status)) != "UNKNOWN", "\(code)")
    }
}
