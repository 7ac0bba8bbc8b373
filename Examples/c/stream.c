// Prints an answer a token at a time, and lets Ctrl-C end it: stream MODEL DOCUMENT QUESTION [TOKENS]. After TOKENS
// tokens it cancels the answer itself, as Ctrl-C would; the conversation then has it as far as it came.
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <thimble.h>

static thimble_session *session;

// A cancel takes no lock and no memory: a signal handler may ask for it.
static void interrupt(int number) {
    (void)number;
    thimble_session_cancel(session);
}

int main(int count, char **arguments) {
    if (count != 4 && count != 5) return fprintf(stderr, "usage: stream MODEL DOCUMENT QUESTION [TOKENS]\n"), 64;
    const int limit = count == 5 ? atoi(arguments[4]) : 0;
    thimble_error error = {.struct_size = sizeof error};
    thimble_document document = {.struct_size = sizeof document, .path = arguments[2]};
    thimble_runtime *runtime = NULL;
    thimble_model *model = NULL;
    if (thimble_runtime_create(NULL, &runtime, &error) ||
        thimble_model_load(runtime, arguments[1], NULL, &model, &error) ||
        thimble_session_create(model, &session, &error) ||
        thimble_session_append_document(session, &document, NULL, &error) ||
        thimble_session_append_text(session, THIMBLE_ROLE_USER, arguments[3], strlen(arguments[3]), &error) ||
        thimble_session_begin(session, NULL, &error)) {
        fprintf(stderr, "stream: %s\n", error.text);
        goto end;
    }
    signal(SIGINT, interrupt);
    thimble_piece piece = {.struct_size = sizeof piece};
    for (int drawn = 1; thimble_session_next(session, &piece, &error) == THIMBLE_OK; drawn++) {
        fwrite(piece.text, 1, piece.length, stdout);
        fflush(stdout);
        if (piece.finish != THIMBLE_FINISH_NONE) break;
        if (drawn == limit) thimble_session_cancel(session);
    }
    thimble_result result = {.struct_size = sizeof result};
    if (error.status == THIMBLE_OK || error.status == THIMBLE_E_CANCELLED) {
        thimble_session_finish(session, &result, NULL);
        const char *end = piece.finish == THIMBLE_FINISH_STOP ? "to its end" : "cut short";
        fprintf(stderr, "\n%u tokens, %s, the first after %.2f s\n", (unsigned)result.generated_tokens, end,
            result.first_token_seconds);
    } else {
        fprintf(stderr, "stream: %s\n", error.text);
    }
end:
    thimble_session_close(session, NULL);
    thimble_model_close(model, NULL);
    thimble_runtime_close(runtime, NULL);
    return error.status == THIMBLE_E_CANCELLED ? 0 : (int)error.status;
}
