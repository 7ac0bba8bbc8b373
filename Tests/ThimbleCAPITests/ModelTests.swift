//! Holds what the C functions say of devices, plans, budgets and models.

import CThimble
import Foundation
import TestSupport
import Testing
import Thimble

@Test func aModelSaysWhatItIs() throws {
    let model = try OpenModel(kvType: THIMBLE_KV_INT8)
    var info = sized(thimble_model_info.self)
    try unsafe check { unsafe thimble_model_describe(model.model.pointer, &info, $0) }
    var options = EngineOptions()
    options.device = .cpu
    let engine = try Engine(modelPath: readerPath, options: options)
    #expect(info.context == 256 && info.kv_type == THIMBLE_KV_INT8 && info.threads == 2)
    #expect(info.vocabulary == UInt32(engine.vocabularySize) && info.layers == UInt32(engine.layerCount))
    #expect(info.sees_images == 1 && info.can_converse == 1 && info.load_seconds > 0)
    #expect(string(info.name) == engine.name && string(info.device) == "cpu")
    let session = try model.session("Hello.")
    try answer(session)
    var stats = sized(thimble_model_stats.self)
    try unsafe check { unsafe thimble_model_measure(model.model.pointer, &stats, $0) }
    #expect(stats.sessions == 1 && stats.host_bytes > 0 && stats.host_peak_bytes >= stats.host_bytes)
    #expect(stats.process_peak_bytes > 0 && stats.device_bytes == 0 && stats.host_limit == 0)
}

@Test func aPlanIsToldInFiguresAndInWords() throws {
    var runtime: OpaquePointer?
    try unsafe check { unsafe thimble_runtime_create(nil, &runtime, $0) }
    defer { unsafe thimble_runtime_close(runtime, nil) }
    let limit: UInt64 = 1 << 34
    try unsafe "cpu".withCString { device in
        var options = unsafe sized(thimble_model_options.self)
        unsafe options.device = device
        unsafe options.host_memory = limit
        unsafe options.context = 1024
        unsafe options.image_tokens = 300
        var figures = sized(thimble_plan_figures.self)
        let text = try unsafe twice {
            unsafe thimble_plan(
                runtime, readerPath, &options, &figures, THIMBLE_TEXT_PLAIN, $0, $1, $2)
        }
        #expect(text.contains("1024 tokens") && text.contains("keys and values"))
        #expect(figures.context == 1024 && figures.host_limit == limit && figures.host_bytes < limit)
        #expect(figures.host_bytes > 0 && figures.device_bytes == 0 && figures.threads > 0)
        #expect(figures.layers > 0 && figures.cpu_layers == 0)
        #expect(figures.tokens_per_second > 0 && figures.first_token_seconds > 0)
        #expect(figures.prompt_tokens == 512 && figures.decoded_bytes > 0 && figures.prefill_chunk > 0)
        #expect(figures.image_tokens == 300)
        let json = try unsafe twice {
            unsafe thimble_plan(runtime, readerPath, &options, nil, THIMBLE_TEXT_JSON, $0, $1, $2)
        }
        let object = try #require(
            try JSONSerialization.jsonObject(with: Data(json.utf8)) as? [String: Any])
        #expect(object["context_tokens"] as? Int == 1024)
        // No words, no figures: whether there is a plan.
        try unsafe check {
            unsafe thimble_plan(runtime, readerPath, &options, nil, THIMBLE_TEXT_PLAIN, nil, nil, $0)
        }
        unsafe options.host_memory = 20 << 20
        let error = unsafe failure {
            unsafe thimble_plan(runtime, readerPath, &options, nil, THIMBLE_TEXT_PLAIN, nil, nil, $0)
        }
        #expect(error?.status == THIMBLE_E_BUDGET_EXCEEDED)
        #expect(error?.text.contains(/[0-9]+ too few/) == true)
        #expect(error?.text.contains(/--host-memory [0-9]+MiB/) == true)
    }
}

@Test func theFirstDeviceIsTheProcessor() throws {
    var runtime: OpaquePointer?
    try unsafe check { unsafe thimble_runtime_create(nil, &runtime, $0) }
    defer { unsafe thimble_runtime_close(runtime, nil) }
    let devices = DeviceDescription.available
    for (index, device) in devices.enumerated() {
        var info = sized(thimble_device_info.self)
        try unsafe check { unsafe thimble_device_describe(runtime, UInt32(index), &info, $0) }
        #expect(Int(info.device_count) == devices.count && string(info.name) == device.name)
        #expect(string(info.title) == device.title)
        #expect((info.is_usable == 1) == (device.vulkan?.rejection == nil))
    }
    #expect(devices[0].name == "cpu")
    var info = sized(thimble_device_info.self)
    unsafe expectFailure(THIMBLE_E_INVALID_ARGUMENT, THIMBLE_DETAIL_RANGE) {
        unsafe thimble_device_describe(runtime, UInt32(devices.count), &info, $0)
    }
}

@Test func aBudgetCountsWhereOptionsSayNothing() throws {
    let folder = try TemporaryDirectory()
    let path = try folder.write("[run]\ncontext = 128\n[kv]\ntype = \"int5\"\n".utf8, to: "small.toml")
    func described(
        _ runtimeBudget: String?, _ budget: String?, _ context: UInt32
    ) throws -> thimble_model_info {
        let words = CStrings()
        var (runtime, model): (OpaquePointer?, OpaquePointer?)
        var options = unsafe sized(thimble_runtime_options.self)
        unsafe options.budget = words.pointer(runtimeBudget)
        try unsafe check { unsafe thimble_runtime_create(&options, &runtime, $0) }
        defer { unsafe thimble_runtime_close(runtime, nil) }
        var own = unsafe sized(thimble_model_options.self)
        unsafe own.budget = words.pointer(budget)
        unsafe own.device = words.pointer("cpu")
        unsafe own.context = context
        try unsafe check { unsafe thimble_model_load(runtime, readerPath, &own, &model, $0) }
        defer { unsafe thimble_model_close(model, nil) }
        var info = sized(thimble_model_info.self)
        try unsafe check { unsafe thimble_model_describe(model, &info, $0) }
        return info
    }
    for info in try [described(path, nil, 0), described(nil, path, 0)] {
        #expect(info.context == 128 && info.kv_type == THIMBLE_KV_INT5)
    }
    #expect(try described(path, nil, 192).context == 192)
    let other = try folder.write("[run]\ncontext = 160\n".utf8, to: "other.toml")
    let both = try described(path, other, 0)
    #expect(both.context == 160 && both.kv_type == THIMBLE_KV_INT5)
}
