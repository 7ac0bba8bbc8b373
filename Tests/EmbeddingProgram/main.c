//! A program in C that embeds Thimble, for what a test needs a process of its own for: a limit on memory, and
//! memory that does not grow.
//!
//! read MODEL DOCUMENT QUESTION BYTES   answers the question within so many bytes, and says the most it held
//! cycles MODEL COUNT                   opens, asks, cancels and closes so often, and says what it holds
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "thimble.h"

static thimble_error error = {.struct_size = sizeof(thimble_error)};

// Ends the program where a call failed.
static void require(thimble_status status) {
    if (status == THIMBLE_OK) return;
    fprintf(stderr, "%s: %s\n", thimble_status_name(status), error.text);
    exit(2);
}

static int print(void *context, const char *text, size_t length) {
    (void)context;
    return fwrite(text, 1, length, stdout) != length;
}

static void append(thimble_session *session, const char *text) {
    require(thimble_session_append_text(session, THIMBLE_ROLE_USER, text, strlen(text), &error));
}

static void read_document(const char *path, const char *document, const char *question, uint64_t bytes) {
    thimble_runtime *runtime;
    thimble_model *model;
    thimble_session *session;
    require(thimble_runtime_create(NULL, &runtime, &error));
    const thimble_model_options options = {
        .struct_size = sizeof options, .host_memory = bytes, .device = "cpu", .threads = 2};
    require(thimble_model_load(runtime, path, &options, &model, &error));
    require(thimble_session_create(model, &session, &error));
    const thimble_document pages = {.struct_size = sizeof pages, .path = document};
    require(thimble_session_append_document(session, &pages, NULL, &error));
    append(session, question);
    require(thimble_session_generate(session, NULL, print, NULL, NULL, &error));
    thimble_model_stats stats = {.struct_size = sizeof stats};
    require(thimble_model_measure(model, &stats, &error));
    printf("\n%llu\n", (unsigned long long)stats.process_peak_bytes);
    require(thimble_session_close(session, &error));
    require(thimble_model_close(model, &error));
    require(thimble_runtime_close(runtime, &error));
}

// What the process holds: memory in KiB, threads, and files that are open.
typedef struct {
    long memory, threads, files;
} holdings;

static holdings held(void) {
    holdings now = {-1, -1, 0};
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    while (file && fgets(line, sizeof line, file)) {
        sscanf(line, "VmRSS: %ld", &now.memory);
        sscanf(line, "Threads: %ld", &now.threads);
    }
    if (file) fclose(file);
    DIR *folder = opendir("/proc/self/fd");
    while (folder && readdir(folder)) now.files++;
    if (folder) closedir(folder);
    return now;
}

static void cycle(const char *path, int number) {
    thimble_runtime *runtime;
    thimble_model *model;
    thimble_session *session, *fork;
    require(thimble_runtime_create(NULL, &runtime, &error));
    const thimble_model_options options = {
        .struct_size = sizeof options, .device = "cpu", .threads = 2, .context = 256};
    require(thimble_model_load(runtime, path, &options, &model, &error));
    require(thimble_session_create(model, &session, &error));
    append(session, "Say something.");
    require(thimble_session_begin(session, NULL, &error));
    thimble_piece piece = {.struct_size = sizeof piece};
    for (int token = 0; token < number % 4; token++) {
        require(thimble_session_next(session, &piece, &error));
        if (piece.finish != THIMBLE_FINISH_NONE) break;
    }
    require(thimble_session_cancel(session));
    if (piece.finish == THIMBLE_FINISH_NONE) require(thimble_session_next(session, &piece, &error));
    if (number % 3 > 0) require(thimble_session_finish(session, NULL, &error));
    if (number % 3 == 1) {
        require(thimble_session_fork(session, &fork, &error));
        require(thimble_session_close(fork, &error));
    }
    require(thimble_session_close(session, &error));
    require(thimble_model_close(model, &error));
    require(thimble_runtime_close(runtime, &error));
}

int main(int count, char **arguments) {
    if (count == 6 && strcmp(arguments[1], "read") == 0) {
        read_document(arguments[2], arguments[3], arguments[4], strtoull(arguments[5], NULL, 10));
        return 0;
    }
    if (count == 4 && strcmp(arguments[1], "cycles") == 0) {
        const int cycles = atoi(arguments[3]);
        holdings early = {0, 0, 0};
        for (int number = 0; number < cycles; number++) {
            cycle(arguments[2], number);
            // The first few leave behind what all share.
            if (number == cycles / 4) early = held();
        }
        const holdings late = held();
        printf("%ld %ld %ld %ld %ld %ld\n", early.memory, early.threads, early.files, late.memory,
               late.threads, late.files);
        return 0;
    }
    fprintf(stderr, "usage: %s read MODEL DOCUMENT QUESTION BYTES | cycles MODEL COUNT\n", arguments[0]);
    return 64;
}
