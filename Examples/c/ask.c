// Asks a question of a document: ask MODEL DOCUMENT QUESTION. In at most 256 MiB of memory, all told.
#include <stdio.h>
#include <string.h>
#include <thimble.h>

static int receive(void *context, const char *text, size_t length) {
    (void)context;
    return fwrite(text, 1, length, stdout) != length;
}

int main(int count, char **arguments) {
    if (count != 4) return fprintf(stderr, "usage: ask MODEL DOCUMENT QUESTION\n"), 64;
    thimble_error error = {.struct_size = sizeof error};
    thimble_model_options options = {.struct_size = sizeof options, .host_memory = 256 << 20, .device = "cpu"};
    thimble_document document = {.struct_size = sizeof document, .path = arguments[2]};
    thimble_runtime *runtime = NULL;
    thimble_model *model = NULL;
    thimble_session *session = NULL;
    if (thimble_runtime_create(NULL, &runtime, &error) ||
        thimble_model_load(runtime, arguments[1], &options, &model, &error) ||
        thimble_session_create(model, &session, &error) ||
        thimble_session_append_document(session, &document, NULL, &error) ||
        thimble_session_append_text(session, THIMBLE_ROLE_USER, arguments[3], strlen(arguments[3]), &error) ||
        thimble_session_generate(session, NULL, receive, NULL, NULL, &error)) {
        fprintf(stderr, "ask: %s\n", error.text);
    }
    printf("\n");
    thimble_session_close(session, NULL);
    thimble_model_close(model, NULL);
    thimble_runtime_close(runtime, NULL);
    return error.status;
}
