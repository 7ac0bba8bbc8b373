//! The functions about models.

internal import CThimble
internal import Thimble

@c @implementation
func capi_model_load(
    _ runtime: OpaquePointer?, _ path: UnsafePointer<CChar>?,
    _ options: UnsafePointer<thimble_model_options>?,
    _ model: UnsafeMutablePointer<OpaquePointer?>?, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let runtime = try unsafe Handles.find(runtime, RuntimeState.self)
        guard let model = unsafe model else { throw .null("model") }
        let path = try unsafe requiredText(path, "path")
        let request = try unsafe ModelRequest(options, runtime)
        try runtime.models.enter(RuntimeState.name)
        do throws(CallFault) {
            unsafe model.pointee = try Handles.open { handle throws(CallFault) in
                let engine = try translating { () throws(ThimbleError) in
                    try Engine(modelPath: path, options: request.engine, progress: request.progress)
                }
                return ModelState(handle, engine, request.budget, of: runtime)
            }
        } catch {
            runtime.models.leave()
            throw error
        }
    }
}

@c @implementation
func capi_model_close(
    _ model: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        try unsafe Handles.find(model, ModelState.self).close()
    }
}

@c @implementation
func capi_model_describe(
    _ model: OpaquePointer?, _ info: UnsafeMutablePointer<thimble_model_info>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let engine = try unsafe Handles.find(model, ModelState.self).engine
        guard let info = unsafe info else { throw .null("info") }
        try unsafe checkStructure(info, "info")
        var value = thimble_model_info()
        value.context = UInt32(engine.contextLength)
        value.vocabulary = UInt32(engine.vocabularySize)
        value.layers = UInt32(engine.layerCount)
        value.sees_images = engine.seesImages ? 1 : 0
        value.can_converse = engine.canConverse ? 1 : 0
        value.kv_type = engine.kvType.number
        value.threads = UInt32(engine.device.threadCount)
        value.load_seconds = engine.loadSeconds
        copy(engine.name, into: &value.name)
        copy(engine.device.name, into: &value.device)
        unsafe fill(info, with: value)
    }
}

@c @implementation
func capi_model_measure(
    _ model: OpaquePointer?, _ stats: UnsafeMutablePointer<thimble_model_stats>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(model, ModelState.self)
        guard let stats = unsafe stats else { throw .null("stats") }
        try unsafe checkStructure(stats, "stats")
        let ledger = state.engine.ledger
        var value = thimble_model_stats()
        value.host_bytes = UInt64(ledger.held(.host))
        value.host_peak_bytes = UInt64(ledger.peak(.host))
        value.device_bytes = UInt64(ledger.held(.device))
        value.device_peak_bytes = UInt64(ledger.peak(.device))
        value.host_limit = UInt64([ledger.limits.host, ledger.limits.total].compactMap(\.self).min() ?? 0)
        value.device_limit = UInt64(
            [ledger.limits.device, ledger.limits.total].compactMap(\.self).min() ?? 0)
        value.process_peak_bytes = UInt64(ProcessMemory.peak ?? 0)
        value.device_used_bytes = UInt64(state.engine.deviceUsedByteCount ?? 0)
        value.sessions = UInt32(state.sessions.count)
        unsafe fill(stats, with: value)
    }
}

@c @implementation
func capi_tokenize(
    _ model: OpaquePointer?, _ characters: UnsafePointer<CChar>?, _ length: Int,
    _ tokens: UnsafeMutablePointer<Int32>?, _ count: UnsafeMutablePointer<Int>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let engine = try unsafe Handles.find(model, ModelState.self).engine
        guard let count = unsafe count else { throw .null("count") }
        let text = try unsafe text(characters, length, "text")
        let ids = try translating { () throws(ThimbleError) in try engine.tokenize(text) }
        try unsafe give(ids, to: tokens, count, "the text's tokens")
    }
}

@c @implementation
func capi_detokenize(
    _ model: OpaquePointer?, _ tokens: UnsafePointer<Int32>?, _ count: Int,
    _ text: UnsafeMutablePointer<CChar>?, _ size: UnsafeMutablePointer<Int>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let engine = try unsafe Handles.find(model, ModelState.self).engine
        guard let size = unsafe size else { throw .null("size") }
        let ids = try unsafe Array(elements(tokens, count, "tokens"))
        let words = try translating { () throws(ThimbleError) in try engine.detokenize(ids) }
        try unsafe give(words, to: text, size, "the tokens' text")
    }
}
