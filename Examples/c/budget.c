// How much memory does a model need? budget MODEL MEBIBYTES. Asks for a plan within that much; where there is none,
// nothing was loaded, and the error says what would fit.
#include <stdio.h>
#include <stdlib.h>
#include <thimble.h>

int main(int count, char **arguments) {
    if (count != 3) return fprintf(stderr, "usage: budget MODEL MEBIBYTES\n"), 64;
    thimble_error error = {.struct_size = sizeof error};
    thimble_runtime *runtime;
    if (thimble_runtime_create(NULL, &runtime, &error)) {
        fprintf(stderr, "budget: %s\n", error.text);
        return error.status;
    }
    thimble_model_options options = {
        .struct_size = sizeof options,
        .host_memory = strtoull(arguments[2], NULL, 10) << 20,
        .device = "cpu",
    };
    thimble_plan_figures figures = {.struct_size = sizeof figures};
    switch (thimble_plan(
        runtime, arguments[1], &options, &figures, THIMBLE_TEXT_PLAIN, NULL, NULL, &error)) {
    case THIMBLE_OK:
        printf("fits: %.1f MiB of %.1f, a context of %u tokens, %.1f MiB of the file read for each token\n",
            figures.host_bytes / 1048576.0, figures.host_limit / 1048576.0, (unsigned)figures.context,
            figures.streamed_bytes / 1048576.0);
        break;
    case THIMBLE_E_BUDGET_EXCEEDED: printf("does not fit: %s\n", error.text); break;
    default: fprintf(stderr, "budget: %s\n", error.text);
    }
    thimble_runtime_close(runtime, NULL);
    return error.status;
}
