//! The functions about runtimes, and what needs no model: plans and documents.

internal import CThimble
internal import Thimble

@c @implementation
func capi_runtime_create(
    _ options: UnsafePointer<thimble_runtime_options>?, _ runtime: UnsafeMutablePointer<OpaquePointer?>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        guard let runtime = unsafe runtime else { throw .null("runtime") }
        let options = try unsafe read(options, over: thimble_runtime_options(), "options")
        let budget = try unsafe Budget(
            named: options.budget, text: options.budget_text, length: options.budget_text_length)
        unsafe runtime.pointee = try Handles.open { handle throws(CallFault) in
            RuntimeState(handle, budget: budget)
        }
    }
}

@c @implementation
func capi_runtime_close(
    _ runtime: OpaquePointer?, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(runtime, RuntimeState.self)
        try state.models.close(RuntimeState.name, "models")
        Handles.end(state)
    }
}

@c @implementation
func capi_device_describe(
    _ runtime: OpaquePointer?, _ index: UInt32, _ info: UnsafeMutablePointer<thimble_device_info>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(runtime, RuntimeState.self)
        guard let info = unsafe info else { throw .null("info") }
        try unsafe checkStructure(info, "info")
        let devices = state.devices
        guard index < devices.count else {
            throw .argument(
                THIMBLE_DETAIL_RANGE, "there are \(devices.count) devices, and not number \(index)")
        }
        let device = devices[Int(index)]
        var value = thimble_device_info()
        value.device_count = UInt32(devices.count)
        value.is_usable = device.vulkan?.rejection == nil ? 1 : 0
        let heaps = device.vulkan?.heaps ?? []
        value.memory_bytes = heaps.reduce(0) { $0 + ($1.isDeviceLocal ? UInt64($1.byteCount) : 0) }
        copy(device.name, into: &value.name)
        copy(device.title, into: &value.title)
        copy(device.vulkan?.rejection ?? "", into: &value.rejection)
        unsafe fill(info, with: value)
    }
}

@c @implementation
func capi_plan(
    _ runtime: OpaquePointer?, _ path: UnsafePointer<CChar>?,
    _ options: UnsafePointer<thimble_model_options>?,
    _ figures: UnsafeMutablePointer<thimble_plan_figures>?, _ form: thimble_text_form,
    _ text: UnsafeMutablePointer<CChar>?, _ size: UnsafeMutablePointer<Int>?,
    _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(runtime, RuntimeState.self)
        let path = try unsafe requiredText(path, "path")
        try unsafe checkStructure(figures, "figures")
        guard form == THIMBLE_TEXT_PLAIN || form == THIMBLE_TEXT_JSON else {
            throw .argument(THIMBLE_DETAIL_RANGE, "form is \(form.rawValue), which is none")
        }
        let request = try unsafe ModelRequest(options, state)
        let outlook = try state.plan(path, request)
        unsafe fill(figures, with: thimble_plan_figures(outlook))
        guard let size = unsafe size else { return }
        let report = PlanReport(outlook)
        let words = try translating { () throws(ThimbleError) in
            form == THIMBLE_TEXT_JSON ? try report.json() : report.text
        }
        do throws(CallFault) { try unsafe give(words, to: text, size, "the plan's text") } catch {
            state.keep(outlook, of: path, request)
            throw error
        }
    }
}

extension thimble_plan_figures {
    init(_ outlook: PlanOutlook) {
        self.init()
        let plan = outlook.plan
        host_bytes = UInt64(plan.byteCount(.host))
        host_limit = UInt64([plan.limits.host, plan.limits.total].compactMap(\.self).min() ?? 0)
        if plan.parts.contains(where: { $0.place == .device }) {
            device_bytes = UInt64(plan.byteCount(.device))
            device_limit = UInt64([plan.limits.device, plan.limits.total].compactMap(\.self).min() ?? 0)
        }
        streamed_bytes = UInt64(plan.streamedByteCount)
        streamed_vision_bytes = UInt64(plan.streamedVisionByteCount)
        decoded_bytes = UInt64(plan.decodedByteCount)
        context = UInt32(plan.contextLength)
        prefill_chunk = UInt32(plan.activations.chunkTokens)
        image_tokens = UInt32(plan.activations.imageTokens ?? 0)
        threads = UInt32(outlook.threadCount)
        layers = UInt32(plan.parts.last?.share.layers.upperBound ?? 0)
        cpu_layers = UInt32(plan.offloadedLayerCount)
        if let prediction = outlook.prediction {
            tokens_per_second = prediction.tokensPerSecond
            first_token_seconds = prediction.firstToken.seconds
            prompt_tokens = UInt32(prediction.promptTokens)
        }
    }
}

@c @implementation
func capi_render_document(
    _ runtime: OpaquePointer?, _ document: UnsafePointer<thimble_document>?, _ receive: thimble_page_fn?,
    _ context: UnsafeMutableRawPointer?, _ error: UnsafeMutablePointer<thimble_error>?
) -> thimble_status {
    unsafe call(error) { () throws(CallFault) in
        let state = try unsafe Handles.find(runtime, RuntimeState.self)
        guard let receive = unsafe receive else { throw .null("receive") }
        let pages = try unsafe DocumentPages(document, state.budget) { DocumentPages.Defaults() }
        defer { pages.tellNotes() }
        for index in 0..<pages.document.pageCount {
            let image = try translating { () throws(ThimbleError) in try pages.document.page(index) }
            var page = unsafe thimble_page()
            unsafe page.struct_size = MemoryLayout<thimble_page>.size
            unsafe page.index = UInt32(index)
            unsafe page.page_count = UInt32(pages.document.pageCount)
            unsafe page.width = UInt32(image.width)
            unsafe page.height = UInt32(image.height)
            let goesOn = unsafe image.pixels.withUnsafeBufferPointer { pixels in
                unsafe page.rgb = pixels.baseAddress
                return unsafe receive(context, &page) == 0
            }
            if !goesOn { throw CallFault(THIMBLE_E_STOPPED, "the callback stopped at page \(index)") }
        }
    }
}
