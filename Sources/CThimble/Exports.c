//! The functions of thimble.h. They are C, so that debug information says their types in a form that tools
//! which compare interfaces read; all but the simplest call Swift.
#include "HandleTable.h"
#include "ThimbleImplementation.h"

uint32_t thimble_abi_version(void) {
    return THIMBLE_ABI_VERSION;
}

const char *thimble_status_name(thimble_status status) {
    switch (status) {
    case THIMBLE_OK: return "OK";
    case THIMBLE_E_INVALID_ARGUMENT: return "INVALID_ARGUMENT";
    case THIMBLE_E_INPUT_MISSING: return "INPUT_MISSING";
    case THIMBLE_E_CORRUPT: return "CORRUPT";
    case THIMBLE_E_UNSUPPORTED: return "UNSUPPORTED";
    case THIMBLE_E_CONTEXT_FULL: return "CONTEXT_FULL";
    case THIMBLE_E_OUT_OF_MEMORY: return "OUT_OF_MEMORY";
    case THIMBLE_E_IO: return "IO";
    case THIMBLE_E_NO_DEVICE: return "NO_DEVICE";
    case THIMBLE_E_CANCELLED: return "CANCELLED";
    case THIMBLE_E_INTERNAL: return "INTERNAL";
    case THIMBLE_E_CANNOT_CREATE: return "CANNOT_CREATE";
    case THIMBLE_E_BUDGET_EXCEEDED: return "BUDGET_EXCEEDED";
    case THIMBLE_E_BUSY: return "BUSY";
    case THIMBLE_E_STOPPED: return "STOPPED";
    case THIMBLE_E_TOO_SMALL: return "TOO_SMALL";
    case THIMBLE_STATUS_MAX: break;
    }
    return "UNKNOWN";
}

const char *thimble_version_string(void) {
    return "0.1.0";
}

thimble_status thimble_session_cancel(thimble_session *session) {
    return capi_handle_cancel((uintptr_t)session) ? THIMBLE_OK : THIMBLE_E_INVALID_ARGUMENT;
}

thimble_status thimble_runtime_create(
    const thimble_runtime_options *options, thimble_runtime **runtime, thimble_error *error) {
    return capi_runtime_create(options, runtime, error);
}

thimble_status thimble_runtime_close(thimble_runtime *runtime, thimble_error *error) {
    return capi_runtime_close(runtime, error);
}

thimble_status thimble_device_describe(
    thimble_runtime *runtime, uint32_t index, thimble_device_info *info, thimble_error *error) {
    return capi_device_describe(runtime, index, info, error);
}

thimble_status thimble_plan(
    thimble_runtime *runtime, const char *path, const thimble_model_options *options,
    thimble_plan_figures *figures, thimble_text_form form, char *text, size_t *size, thimble_error *error) {
    return capi_plan(runtime, path, options, figures, form, text, size, error);
}

thimble_status thimble_model_load(
    thimble_runtime *runtime, const char *path, const thimble_model_options *options, thimble_model **model,
    thimble_error *error) {
    return capi_model_load(runtime, path, options, model, error);
}

thimble_status thimble_model_close(thimble_model *model, thimble_error *error) {
    return capi_model_close(model, error);
}

thimble_status thimble_model_describe(thimble_model *model, thimble_model_info *info, thimble_error *error) {
    return capi_model_describe(model, info, error);
}

thimble_status thimble_model_measure(thimble_model *model, thimble_model_stats *stats, thimble_error *error) {
    return capi_model_measure(model, stats, error);
}

thimble_status thimble_tokenize(
    thimble_model *model, const char *text, size_t length, int32_t *tokens, size_t *count,
    thimble_error *error) {
    return capi_tokenize(model, text, length, tokens, count, error);
}

thimble_status thimble_detokenize(
    thimble_model *model, const int32_t *tokens, size_t count, char *text, size_t *size,
    thimble_error *error) {
    return capi_detokenize(model, tokens, count, text, size, error);
}

thimble_status thimble_session_create(thimble_model *model, thimble_session **session, thimble_error *error) {
    return capi_session_create(model, session, error);
}

thimble_status thimble_session_close(thimble_session *session, thimble_error *error) {
    return capi_session_close(session, error);
}

thimble_status thimble_session_append_text(
    thimble_session *session, thimble_role role, const char *text, size_t length, thimble_error *error) {
    return capi_session_append_text(session, role, text, length, error);
}

thimble_status thimble_session_append_image(
    thimble_session *session, const thimble_image *image, thimble_error *error) {
    return capi_session_append_image(session, image, error);
}

thimble_status thimble_session_append_document(
    thimble_session *session, const thimble_document *document, uint32_t *page_count, thimble_error *error) {
    return capi_session_append_document(session, document, page_count, error);
}

thimble_status thimble_session_generate(
    thimble_session *session, const thimble_generate_options *options, thimble_text_fn receive, void *context,
    thimble_result *result, thimble_error *error) {
    return capi_session_generate(session, options, receive, context, result, error);
}

thimble_status thimble_session_begin(
    thimble_session *session, const thimble_generate_options *options, thimble_error *error) {
    return capi_session_begin(session, options, error);
}

thimble_status thimble_session_next(thimble_session *session, thimble_piece *piece, thimble_error *error) {
    return capi_session_next(session, piece, error);
}

thimble_status thimble_session_finish(
    thimble_session *session, thimble_result *result, thimble_error *error) {
    return capi_session_finish(session, result, error);
}

thimble_status thimble_session_rewind(thimble_session *session, size_t message_count, thimble_error *error) {
    return capi_session_rewind(session, message_count, error);
}

thimble_status thimble_session_fork(thimble_session *session, thimble_session **fork, thimble_error *error) {
    return capi_session_fork(session, fork, error);
}

thimble_status thimble_session_save(thimble_session *session, const char *path, thimble_error *error) {
    return capi_session_save(session, path, error);
}

thimble_status thimble_session_restore(
    thimble_model *model, const char *path, thimble_session **session, thimble_error *error) {
    return capi_session_restore(model, path, session, error);
}

thimble_status thimble_session_describe(
    thimble_session *session, thimble_session_info *info, thimble_error *error) {
    return capi_session_describe(session, info, error);
}

thimble_status thimble_session_message(
    thimble_session *session, size_t index, thimble_role *role, char *text, size_t *size,
    thimble_error *error) {
    return capi_session_message(session, index, role, text, size, error);
}

thimble_status thimble_render_document(
    thimble_runtime *runtime, const thimble_document *document, thimble_page_fn receive, void *context,
    thimble_error *error) {
    return capi_render_document(runtime, document, receive, context, error);
}
