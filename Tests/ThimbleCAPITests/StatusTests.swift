//! Holds the numbers of the header against those of the library, and pins them.

import CThimble
import Testing
import Thimble

/// `budgetExceeded` as the header spells it.
func headerName(_ name: String) -> String {
    name.map { $0.isUppercase ? "_\($0)" : $0.uppercased() }.joined()
}

@Test func everyCodeIsTheStatusOfItsName() {
    for code in ThimbleError.Code.allCases {
        let status = thimble_status(rawValue: UInt32(code.rawValue))
        #expect(name(status) == headerName("\(code)"), "\(code)")
    }
    let own = (0..<256).filter { name(thimble_status(rawValue: $0)) != "UNKNOWN" }
    // No status but success and the interface's own that is no code.
    #expect(own.count == ThimbleError.Code.allCases.count + 4)
}

@Test func statusesArePinned() {
    let pinned: [(thimble_status, UInt32)] = [
        (THIMBLE_OK, 0), (THIMBLE_E_INVALID_ARGUMENT, 1), (THIMBLE_E_INPUT_MISSING, 2),
        (THIMBLE_E_CORRUPT, 3), (THIMBLE_E_UNSUPPORTED, 4), (THIMBLE_E_CONTEXT_FULL, 5),
        (THIMBLE_E_OUT_OF_MEMORY, 6), (THIMBLE_E_IO, 7), (THIMBLE_E_NO_DEVICE, 8),
        (THIMBLE_E_CANCELLED, 9), (THIMBLE_E_INTERNAL, 10), (THIMBLE_E_CANNOT_CREATE, 11),
        (THIMBLE_E_BUDGET_EXCEEDED, 12), (THIMBLE_E_BUSY, 64), (THIMBLE_E_STOPPED, 65),
        (THIMBLE_E_TOO_SMALL, 66),
    ]
    for (status, number) in pinned { #expect(status.rawValue == number) }
}

/// Those that are cases in Swift; `EnumerationTests` has the others.
@Test func otherEnumerationsArePinned() {
    let types = [THIMBLE_KV_DEFAULT, THIMBLE_KV_F16, THIMBLE_KV_INT8, THIMBLE_KV_INT5]
    #expect(types.map(\.rawValue) == [0, 1, 2, 3])
    #expect([THIMBLE_ROLE_SYSTEM, THIMBLE_ROLE_USER, THIMBLE_ROLE_ASSISTANT].map(\.rawValue) == [0, 1, 2])
    let modes = [
        THIMBLE_READING_DEFAULT, THIMBLE_READING_PAGE, THIMBLE_READING_GLYPH, THIMBLE_READING_TEXT,
    ]
    #expect(modes.map(\.rawValue) == [0, 1, 2, 3])
    let finishes = [
        THIMBLE_FINISH_NONE, THIMBLE_FINISH_STOP, THIMBLE_FINISH_LENGTH, THIMBLE_FINISH_CANCELLED,
    ]
    #expect(finishes.map(\.rawValue) == [0, 1, 2, 3])
}

@Test func theVersionIsTheLibrarys() {
    #expect(unsafe String(cString: thimble_version_string()) == Version.string)
    #expect(thimble_abi_version() == UInt32(THIMBLE_ABI_VERSION))
    #expect(name(thimble_status(rawValue: 12345)) == "UNKNOWN" && name(THIMBLE_STATUS_MAX) == "UNKNOWN")
}

/// Sizes on a 64-bit machine: a field that is moved breaks programs that are built.
@Test func structuresKeepTheirSizes() {
    let sizes: [(Int, Int)] = unsafe [
        (MemoryLayout<thimble_error>.size, 1024), (MemoryLayout<thimble_runtime_options>.size, 32),
        (MemoryLayout<thimble_device_info>.size, 568), (MemoryLayout<thimble_model_options>.size, 152),
        (MemoryLayout<thimble_plan_figures>.size, 112), (MemoryLayout<thimble_model_info>.size, 208),
        (MemoryLayout<thimble_model_stats>.size, 80), (MemoryLayout<thimble_image>.size, 40),
        (MemoryLayout<thimble_document>.size, 80), (MemoryLayout<thimble_generate_options>.size, 88),
        (MemoryLayout<thimble_result>.size, 64), (MemoryLayout<thimble_piece>.size, 32),
        (MemoryLayout<thimble_session_info>.size, 32), (MemoryLayout<thimble_page>.size, 32),
    ]
    for (index, (size, expected)) in sizes.enumerated() { #expect(size == expected, "number \(index)") }
}
