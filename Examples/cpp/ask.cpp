// Asks a question of a document: ask MODEL DOCUMENT QUESTION. Handles are closed by their owners' destructors, and
// every failed call is an exception.
#include <cstdlib>
#include <iostream>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thimble.h>

namespace {

template <auto close> struct Closer {
    template <typename Handle> void operator()(Handle *handle) const { close(handle, nullptr); }
};
using Runtime = std::unique_ptr<thimble_runtime, Closer<thimble_runtime_close>>;
using Model = std::unique_ptr<thimble_model, Closer<thimble_model_close>>;
using Session = std::unique_ptr<thimble_session, Closer<thimble_session_close>>;

// A structure with its size set and the rest zero.
template <typename Structure> Structure sized() {
    Structure structure{};
    structure.struct_size = sizeof structure;
    return structure;
}

// Calls with an error to fill in as the last argument.
template <typename Call, typename... Arguments> void call(Call function, Arguments... arguments) {
    auto error = sized<thimble_error>();
    if (function(arguments..., &error) != THIMBLE_OK) throw std::runtime_error(error.text);
}

std::string ask(const char *path, const char *document_path, std::string_view question) {
    thimble_runtime *made_runtime;
    call(thimble_runtime_create, nullptr, &made_runtime);
    Runtime runtime(made_runtime);

    auto options = sized<thimble_model_options>();
    options.host_memory = 256 << 20;
    options.device = "cpu";
    thimble_model *made_model;
    call(thimble_model_load, runtime.get(), path, &options, &made_model);
    Model model(made_model);

    thimble_session *made_session;
    call(thimble_session_create, model.get(), &made_session);
    Session session(made_session);

    auto document = sized<thimble_document>();
    document.path = document_path;
    call(thimble_session_append_document, session.get(), &document, nullptr);
    call(thimble_session_append_text, session.get(), THIMBLE_ROLE_USER, question.data(), question.size());

    std::string answer;
    // What a callback throws must not pass through C.
    auto receive = [](void *context, const char *text, size_t length) noexcept -> int {
        static_cast<std::string *>(context)->append(text, length);
        return 0;
    };
    call(thimble_session_generate, session.get(), nullptr, receive, &answer, nullptr);
    return answer;
}

} // namespace

int main(int count, char **arguments) {
    if (count != 4) {
        std::cerr << "usage: ask MODEL DOCUMENT QUESTION\n";
        return 64;
    }
    try {
        std::cout << ask(arguments[1], arguments[2], arguments[3]) << "\n";
    } catch (const std::exception &error) {
        std::cerr << "ask: " << error.what() << "\n";
        return EXIT_FAILURE;
    }
}
