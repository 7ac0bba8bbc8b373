//! What stands behind each function of thimble.h but those that are written in C: the same parameters,
//! implemented in Swift. No part of the interface.
#pragma once

#include "thimble.h"

thimble_status capi_runtime_create(
    const thimble_runtime_options *options, thimble_runtime **runtime, thimble_error *error);
thimble_status capi_runtime_close(thimble_runtime *runtime, thimble_error *error);
thimble_status capi_device_describe(
    thimble_runtime *runtime, uint32_t index, thimble_device_info *info, thimble_error *error);
thimble_status capi_plan(
    thimble_runtime *runtime, const char *path, const thimble_model_options *options,
    thimble_plan_figures *figures, thimble_text_form form, char *text, size_t *size, thimble_error *error);
thimble_status capi_model_load(
    thimble_runtime *runtime, const char *path, const thimble_model_options *options, thimble_model **model,
    thimble_error *error);
thimble_status capi_model_close(thimble_model *model, thimble_error *error);
thimble_status capi_model_describe(thimble_model *model, thimble_model_info *info, thimble_error *error);
thimble_status capi_model_measure(thimble_model *model, thimble_model_stats *stats, thimble_error *error);
thimble_status capi_tokenize(
    thimble_model *model, const char *text, size_t length, int32_t *tokens, size_t *count,
    thimble_error *error);
thimble_status capi_detokenize(
    thimble_model *model, const int32_t *tokens, size_t count, char *text, size_t *size,
    thimble_error *error);
thimble_status capi_session_create(thimble_model *model, thimble_session **session, thimble_error *error);
thimble_status capi_session_close(thimble_session *session, thimble_error *error);
thimble_status capi_session_append_text(
    thimble_session *session, thimble_role role, const char *text, size_t length, thimble_error *error);
thimble_status capi_session_append_image(
    thimble_session *session, const thimble_image *image, thimble_error *error);
thimble_status capi_session_append_document(
    thimble_session *session, const thimble_document *document, uint32_t *page_count, thimble_error *error);
thimble_status capi_session_generate(
    thimble_session *session, const thimble_generate_options *options, thimble_text_fn receive, void *context,
    thimble_result *result, thimble_error *error);
thimble_status capi_session_begin(
    thimble_session *session, const thimble_generate_options *options, thimble_error *error);
thimble_status capi_session_next(thimble_session *session, thimble_piece *piece, thimble_error *error);
thimble_status capi_session_finish(thimble_session *session, thimble_result *result, thimble_error *error);
thimble_status capi_session_rewind(thimble_session *session, size_t message_count, thimble_error *error);
thimble_status capi_session_fork(thimble_session *session, thimble_session **fork, thimble_error *error);
thimble_status capi_session_save(thimble_session *session, const char *path, thimble_error *error);
thimble_status capi_session_restore(
    thimble_model *model, const char *path, thimble_session **session, thimble_error *error);
thimble_status capi_session_describe(
    thimble_session *session, thimble_session_info *info, thimble_error *error);
thimble_status capi_session_message(
    thimble_session *session, size_t index, thimble_role *role, char *text, size_t *size,
    thimble_error *error);
thimble_status capi_render_document(
    thimble_runtime *runtime, const thimble_document *document, thimble_page_fn receive, void *context,
    thimble_error *error);
