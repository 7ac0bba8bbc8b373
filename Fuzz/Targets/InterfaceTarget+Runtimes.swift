//! The calls of the interface that need no conversation: runtimes, plans, models and documents.

import CThimble
import FoundationEssentials
import Glibc

extension InterfaceProgram {
    /// What is made of a runtime or asked of one.
    mutating func useRuntime(
        _ function: UInt8, _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        switch function {
        case 22: return nameStatus()
        case 23: return unsafe makeRuntime(error)
        case 24:
            let info = unsafe structure(thimble_device_info())
            defer { unsafe info.deallocate() }
            return unsafe thimble_device_describe(handle, UInt32(reader.byte()), info, error)
        case 25: return unsafe plan(handle, error)
        case 26: return unsafe load(handle, error)
        case 27:
            let stats = unsafe structure(thimble_model_stats())
            defer { unsafe stats.deallocate() }
            return unsafe thimble_model_measure(handle, stats, error)
        default: return unsafe draw(handle, error)
        }
    }

    /// What takes no handle.
    private mutating func nameStatus() -> thimble_status {
        expect(thimble_abi_version() == UInt32(THIMBLE_ABI_VERSION), "the version is another one")
        expect(unsafe strlen(thimble_version_string()) > 0, "the library has no version")
        let number = reader.byte() < 128 ? UInt32(reader.byte()) : reader.uint32()
        let name = unsafe String(validatingCString: thimble_status_name(thimble_status(rawValue: number)))
        expect(name?.isEmpty == false, "a status has no name")
        return THIMBLE_OK
    }

    /// A runtime with a budget of the input's own.
    private mutating func makeRuntime(_ error: UnsafeMutablePointer<thimble_error>?) -> thimble_status {
        guard runtimes.count < 4 else { return THIMBLE_OK }
        let budget = reader.bytes(Int(reader.byte() % 64)).map { CChar(bitPattern: $0) }
        var made: OpaquePointer?
        let status = unsafe budget.withUnsafeBufferPointer { budget in
            let options = unsafe structure(thimble_runtime_options()) { options in
                unsafe (options.budget_text, options.budget_text_length) = (budget.baseAddress, budget.count)
            }
            defer { unsafe options.deallocate() }
            return unsafe thimble_runtime_create(options, &made, error)
        }
        return unsafe keep(status, made, among: \.runtimes)
    }

    /// A model's path: what is no model, what is not there, or the bundled one.
    private mutating func path() -> String {
        switch reader.byte() % 4 {
        case 0: "\(folder)/text"
        case 1: "\(folder)/nothing"
        default: modelPath
        }
    }

    private mutating func plan(
        _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        let form = thimble_text_form(rawValue: UInt32(reader.byte() % 3))
        let path = path()
        var text = [CChar](repeating: 1, count: 16 * Int(reader.byte()))
        var size = text.count
        let limit = UInt64(reader.byte()) << 20
        let options = unsafe structure(thimble_model_options()) { unsafe $0.host_memory = limit }
        let figures = unsafe structure(thimble_plan_figures())
        defer {
            unsafe options.deallocate()
            unsafe figures.deallocate()
        }
        let status = unsafe thimble_plan(handle, path, options, figures, form, &text, &size, error)
        expect(status != THIMBLE_OK || text[size - 1] == 0, "a plan does not end with zero")
        return status
    }

    private mutating func load(
        _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        let limit = UInt64(reader.byte()) << 20
        let path = path()
        // Where it is refused, or is no model, nothing was loaded.
        guard loads > 0 || path != modelPath else { return THIMBLE_OK }
        var made: OpaquePointer?
        let status = unsafe "cpu".withCString { device in
            let options = unsafe structure(thimble_model_options()) { options in
                unsafe (options.host_memory, options.device) = (limit, device)
                unsafe (options.threads, options.context) = (1, 64)
            }
            defer { unsafe options.deallocate() }
            return unsafe thimble_model_load(handle, path, options, &made, error)
        }
        if status == THIMBLE_OK { loads -= 1 }
        return unsafe keep(status, made, among: \.models)
    }

    /// Pages of the input's own text.
    private mutating func draw(
        _ handle: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
    ) -> thimble_status {
        let mode = thimble_reading_mode(rawValue: UInt32(reader.byte() % 5))
        let bytes = reader.bytes(Int(reader.byte() % 64))
        var left = Int32(reader.byte() % 3)
        return unsafe Array(bytes).withUnsafeBufferPointer { bytes in
            unsafe "\(folder)/pages".withCString { settings in
                let document = unsafe structure(thimble_document()) { document in
                    unsafe (document.bytes, document.byte_count) = (bytes.baseAddress, bytes.count)
                    unsafe (document.page_settings, document.mode) = (settings, mode)
                }
                defer { unsafe document.deallocate() }
                return unsafe withUnsafeMutablePointer(to: &left) { left in
                    unsafe thimble_render_document(
                        handle, document,
                        { context, page in
                            let page = unsafe page!.pointee
                            let count = unsafe Int(3 * page.width * page.height)
                            let pixels = unsafe Array(UnsafeBufferPointer(start: page.rgb, count: count))
                            expect(pixels.contains { $0 > 0 }, "a page is black")
                            let left = unsafe context!.assumingMemoryBound(to: Int32.self)
                            unsafe left.pointee -= 1
                            return unsafe left.pointee < 0 ? 1 : 0
                        }, left, error)
                }
            }
        }
    }

    /// Closes what the input has left open: nothing holds it any more.
    mutating func closeModels() {
        for model in models {
            let status = unsafe thimble_model_close(OpaquePointer(bitPattern: model), nil)
            expect(status == THIMBLE_OK, "a model cannot be closed: \(status)")
        }
        for runtime in runtimes {
            let status = unsafe thimble_runtime_close(OpaquePointer(bitPattern: runtime), nil)
            expect(status == THIMBLE_OK, "a runtime cannot be closed: \(status)")
        }
    }
}
