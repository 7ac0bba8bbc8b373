//! What callers' options mean.

internal import CThimble
internal import Thimble

extension Budget {
    /// The budget of a name, or of a text of so many bytes; one that says nothing where there is neither.
    init(
        named name: UnsafePointer<CChar>?, text characters: UnsafePointer<CChar>?, length: Int
    ) throws(CallFault) {
        let name = try unsafe text(name, "budget")
        let isInMemory = unsafe characters != nil
        let toml = try unsafe text(characters, length, "budget_text")
        if name != nil, isInMemory {
            throw .argument(THIMBLE_DETAIL_RANGE, "budget and budget_text are both there; give one of them")
        }
        do {
            if let name {
                try self.init(named: name)
            } else if isInMemory {
                try self.init(toml: Array(toml.utf8), file: "the budget's text")
            } else {
                self.init()
            }
        } catch { throw CallFault(ThimbleError(error)) }
    }

    /// What a model's options say.
    fileprivate init(_ options: thimble_model_options) throws(CallFault) {
        self.init()
        memory.host = try size(unsafe options.host_memory, "host_memory")
        memory.device = try size(unsafe options.device_memory, "device_memory")
        memory.total = try size(unsafe options.total_memory, "total_memory")
        run.device = try unsafe text(options.device, "device").map { (name) throws(CallFault) in
            // Said in the words of those who open devices.
            _ = try translating { () throws(ThimbleError) in try DeviceChoice(name) }
            guard let device = Device(name) else {
                throw CallFault(THIMBLE_E_NO_DEVICE, "there is no device '\(name)'")
            }
            return device
        }
        run.threads = unsafe count(options.threads)
        run.context = unsafe count(options.context)
        run.imageTokens = unsafe count(options.image_tokens)
        run.prefillChunk = unsafe count(options.prefill_chunk)
        run.deviceLayers = unsafe count(options.gpu_layers)
        kv.type = try unsafe KVType.named(options.kv_type)
        spill.folder = try unsafe text(options.spill_folder, "spill_folder")
        spill.size = try size(unsafe options.spill_size, "spill_size")
        spill.writtenADay = try size(unsafe options.spill_written_a_day, "spill_written_a_day")
        features.memory = try size(unsafe options.feature_memory, "feature_memory")
        features.disk = try size(unsafe options.feature_cache, "feature_cache")
    }
}

private func size(_ bytes: UInt64, _ name: String) throws(CallFault) -> ByteSize? {
    if bytes == 0 { return nil }
    guard let bytes = Int(exactly: bytes) else {
        throw .argument(THIMBLE_DETAIL_RANGE, "\(name) is \(bytes) bytes, more than there are")
    }
    return ByteSize(bytes: bytes)
}

private func count(_ value: UInt32) -> Int? { value == 0 ? nil : Int(value) }

extension KVType {
    /// The type of that number; nil for what is left to the budget.
    fileprivate static func named(_ type: thimble_kv_type) throws(CallFault) -> KVType? {
        switch type {
        case THIMBLE_KV_DEFAULT: nil
        case THIMBLE_KV_F16: .f16
        case THIMBLE_KV_INT8: .int8
        case THIMBLE_KV_INT5: .int5
        default: throw .argument(THIMBLE_DETAIL_RANGE, "kv_type is \(type.rawValue), which is none")
        }
    }

    /// Its number.
    var number: thimble_kv_type {
        switch self {
        case .f16: THIMBLE_KV_F16
        case .int8: THIMBLE_KV_INT8
        case .int5: THIMBLE_KV_INT5
        }
    }
}

/// How a model is to be planned or loaded, and the budget that says so.
struct ModelRequest {
    let budget: Budget
    let engine: EngineOptions
    /// Hears what share is loaded.
    let progress: (Double) -> Void

    /// The options over their budget over the runtime's.
    init(_ options: UnsafePointer<thimble_model_options>?, _ runtime: RuntimeState) throws(CallFault) {
        let options = try unsafe read(options, over: thimble_model_options(), "options")
        let own = try unsafe Budget(options)
        let named = try unsafe Budget(
            named: options.budget, text: options.budget_text, length: options.budget_text_length)
        let budget = own.merged(over: named.merged(over: runtime.budget))
        do { try budget.validate(file: "the options with their budget") } catch {
            throw CallFault(ThimbleError(error))
        }
        let folder = try unsafe text(options.feature_folder, "feature_folder")
        engine = try translating { () throws(ThimbleError) in
            var engine = try EngineOptions(budget)
            // Asked for by itself, a context is what there must be.
            engine.contextLength = own.run.context
            engine.featureFolder = folder
            return engine
        }
        self.budget = budget
        let (progress, context) = unsafe (options.progress, options.progress_context)
        self.progress = { share in unsafe progress?(context, share) }
    }

    /// What tells one request from another.
    struct Wish: Equatable, Sendable {
        let budget: Budget
        let context: Int?
        let folder: String?
    }

    var wish: Wish {
        Wish(budget: budget, context: engine.contextLength, folder: engine.featureFolder)
    }

    /// What a plan is predicted with.
    var outlook: OutlookOptions {
        var outlook = OutlookOptions()
        outlook.stated = budget.machine
        return outlook
    }
}

/// How an answer is to be generated, and of what where that is not the conversation.
struct AnswerRequest {
    let options: GenerationOptions
    /// A prompt in place of the conversation's.
    let rawPrompt: String?

    /// What is not set is as `defaults` have it.
    init(
        _ options: UnsafePointer<thimble_generate_options>?, defaults: SamplingOptions
    ) throws(CallFault) {
        let options = try unsafe read(options, over: thimble_generate_options(), "options")
        self.options = try unsafe GenerationOptions(options, defaults: defaults)
        let prompt = try unsafe text(options.raw_prompt, options.raw_prompt_length, "raw_prompt")
        rawPrompt = unsafe options.raw_prompt == nil ? nil : prompt
        if rawPrompt != nil, self.options.thinks != nil {
            throw .argument(THIMBLE_DETAIL_RANGE, "thinking is the chat format's; a raw prompt has none")
        }
    }
}

extension GenerationOptions {
    fileprivate init(
        _ options: thimble_generate_options, defaults: SamplingOptions
    ) throws(CallFault) {
        self.init()
        sampling = try unsafe defaults.set(options)
        maximumTokens = unsafe count(options.max_tokens)
        thinks =
            switch unsafe options.thinking {
            case THIMBLE_AUTO: nil
            case THIMBLE_ON: true
            case THIMBLE_OFF: false
            default:
                throw .argument(
                    THIMBLE_DETAIL_RANGE, "thinking is \(unsafe options.thinking.rawValue), which is none")
            }
        let texts = try unsafe elements(options.stops, options.stop_count, "stops")
        for index in texts.indices {
            stops.append(try unsafe requiredText(texts[index], "stops[\(index)]"))
        }
    }
}

extension SamplingOptions {
    fileprivate func set(_ options: thimble_generate_options) throws(CallFault) -> SamplingOptions {
        let sets = unsafe Int(options.sets)
        guard sets < 2 * Int(THIMBLE_SETS_SEED) else {
            throw CallFault(
                THIMBLE_E_UNSUPPORTED, THIMBLE_DETAIL_UNKNOWN_FIELD,
                "sets is \(sets); this library knows bits up to \(THIMBLE_SETS_SEED)")
        }
        func has(_ bit: Int) -> Bool { sets & bit != 0 }
        var sampling = self
        if has(THIMBLE_SETS_TEMPERATURE) { sampling.temperature = unsafe options.temperature }
        if has(THIMBLE_SETS_TOP_K) { sampling.topK = unsafe Int(options.top_k) }
        if has(THIMBLE_SETS_TOP_P) { sampling.topP = unsafe options.top_p }
        if has(THIMBLE_SETS_MIN_P) { sampling.minP = unsafe options.min_p }
        if has(THIMBLE_SETS_REPETITION_PENALTY) {
            sampling.repetitionPenalty = unsafe options.repetition_penalty
        }
        if has(THIMBLE_SETS_FREQUENCY_PENALTY) {
            sampling.frequencyPenalty = unsafe options.frequency_penalty
        }
        if has(THIMBLE_SETS_PRESENCE_PENALTY) { sampling.presencePenalty = unsafe options.presence_penalty }
        if has(THIMBLE_SETS_SEED) { sampling.seed = unsafe options.seed }
        let checked = sampling
        try translating { () throws(ThimbleError) in try checked.validate() }
        return checked
    }
}

extension Message.Role {
    init(_ role: thimble_role) throws(CallFault) {
        self =
            switch role {
            case THIMBLE_ROLE_SYSTEM: .system
            case THIMBLE_ROLE_USER: .user
            case THIMBLE_ROLE_ASSISTANT: .assistant
            default: throw .argument(THIMBLE_DETAIL_RANGE, "role is \(role.rawValue), which is none")
            }
    }

    /// Its number.
    var number: thimble_role {
        switch self {
        case .system: THIMBLE_ROLE_SYSTEM
        case .user: THIMBLE_ROLE_USER
        case .assistant: THIMBLE_ROLE_ASSISTANT
        }
    }
}
