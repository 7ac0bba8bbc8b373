// Two questions about a document: converse MODEL DOCUMENT QUESTION QUESTION. Each call waits for the whole answer. The
// pages are looked at once: the second question finds them, and what was computed of them.
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thimble.h>

static void require(thimble_status status, const thimble_error *error) {
    if (status == THIMBLE_OK) return;
    fprintf(stderr, "converse: %s: %s\n", thimble_status_name(status), error->text);
    exit(status);
}

int main(int count, char **arguments) {
    if (count != 5) return fprintf(stderr, "usage: converse MODEL DOCUMENT QUESTION QUESTION\n"), 64;
    thimble_error error = {.struct_size = sizeof error};
    thimble_document document = {.struct_size = sizeof document, .path = arguments[2]};
    thimble_runtime *runtime;
    thimble_model *model;
    thimble_session *session;
    require(thimble_runtime_create(NULL, &runtime, &error), &error);
    require(thimble_model_load(runtime, arguments[1], NULL, &model, &error), &error);
    for (int i = 3; i < 5; i++) {
        // The bundled model answers one question about its pages at a time, so each begins a conversation of its own.
        require(thimble_session_create(model, &session, &error), &error);
        require(thimble_session_append_document(session, &document, NULL, &error), &error);
        const char *question = arguments[i];
        require(thimble_session_append_text(
                    session, THIMBLE_ROLE_USER, question, strlen(question), &error), &error);
        thimble_generate_options options = {.struct_size = sizeof options, .max_tokens = 64};
        thimble_result result = {.struct_size = sizeof result};
        require(thimble_session_generate(session, &options, NULL, NULL, &result, &error), &error);
        // The answer is the conversation's last message.
        thimble_session_info info = {.struct_size = sizeof info};
        require(thimble_session_describe(session, &info, &error), &error);
        char answer[4096];
        size_t size = sizeof answer;
        require(thimble_session_message(
                    session, info.message_count - 1, NULL, answer, &size, &error), &error);
        printf("%s\n", answer);
        fprintf(stderr, "%u images looked at, %u known\n", (unsigned)result.images_encoded,
            (unsigned)result.images_cached);
        require(thimble_session_close(session, &error), &error);
    }
    require(thimble_model_close(model, &error), &error);
    require(thimble_runtime_close(runtime, &error), &error);
    return 0;
}
