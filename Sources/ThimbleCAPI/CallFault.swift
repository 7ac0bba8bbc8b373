//! Why a call fails, and how the caller hears of it.

internal import CThimble
internal import Thimble

/// Why a call fails: what the caller's `thimble_error` is filled in with.
struct CallFault: Error {
    let status: thimble_status
    let detail: thimble_detail
    let message: String
    /// The system's error number, and Vulkan's result; 0 where none is known.
    var systemError: Int32 = 0
    var vulkanResult: Int32 = 0

    init(_ status: thimble_status, _ detail: thimble_detail, _ message: String) {
        self.status = status
        self.detail = detail
        self.message = message
    }

    /// A fault of which the status says it all.
    init(_ status: thimble_status, _ message: String) { self.init(status, THIMBLE_DETAIL_NONE, message) }

    /// The statuses of the library's own errors are their codes.
    init(_ error: ThimbleError) {
        self.init(thimble_status(rawValue: UInt32(bitPattern: error.code.rawValue)), error.message)
        systemError = error.systemError
        vulkanResult = error.deviceResult
    }

    /// An argument that cannot be.
    static func argument(_ detail: thimble_detail, _ message: String) -> CallFault {
        CallFault(THIMBLE_E_INVALID_ARGUMENT, detail, message)
    }

    /// A pointer that may not be NULL.
    static func null(_ name: String) -> CallFault { argument(THIMBLE_DETAIL_NULL, "\(name) is NULL") }
}

/// Runs what a function does, and says how it ended, also in `error`, where there is one.
func call(
    _ error: UnsafeMutablePointer<thimble_error>?, _ body: () throws(CallFault) -> Void
) -> thimble_status {
    do throws(CallFault) { try unsafe checkStructure(error, "error") } catch { return error.status }
    do throws(CallFault) {
        try body()
        return THIMBLE_OK
    } catch let fault {
        if let error = unsafe error { unsafe fill(error, with: fault) }
        return fault.status
    }
}

/// Runs `body`, and turns the library's error into a call's.
func translating<Result>(_ body: () throws(ThimbleError) -> Result) throws(CallFault) -> Result {
    do { return try body() } catch { throw CallFault(error) }
}

private func fill(_ error: UnsafeMutablePointer<thimble_error>, with fault: CallFault) {
    var value = thimble_error()
    value.status = fault.status
    value.detail = fault.detail
    value.system_error = fault.systemError
    value.vulkan_result = fault.vulkanResult
    let size = unsafe error.pointee.struct_size
    // An older header's text may be shorter: it, too, ends with a zero byte.
    let textStart = MemoryLayout<thimble_error>.offset(of: \.text) ?? size
    let room = min(MemoryLayout.size(ofValue: value.text), size - textStart)
    copy(fault.message, into: &value.text, room: room)
    unsafe fill(error, with: value)
}
