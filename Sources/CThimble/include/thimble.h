//! Thimble for C: documents and questions in, answers out, in as much memory as you allow.
//!
//! A runtime holds models, a model holds sessions, a session is one conversation. Each is a handle: an opaque
//! value that is made here, is never dereferenced by anybody but this library, and is closed once. A handle
//! that was closed, or never was one, is refused with THIMBLE_E_INVALID_ARGUMENT; it is no undefined
//! behaviour.
//!
//! Ownership. Nothing that is returned is to be freed, but handles are to be closed. What a call is given is
//! copied before it returns. What a callback is given lives until the callback returns.
//!
//! Threads. Every function may be called from every thread at any time. Runtimes and models serve many
//! threads at once. A session serves one at a time: who comes meanwhile, also from a callback of the
//! session's own, gets THIMBLE_E_BUSY. Sessions of one model take turns at its device, a prompt or a token at
//! a time. Callbacks run on the thread that made the call, and may call anything but what their own call is
//! at work on. Neither an exception nor longjmp may leave one. After fork, the child has no use of what its
//! parent opened.
//!
//! Structures begin with `struct_size`, which the caller sets to their size and zeroes the rest of. Zero is
//! every field's default. A smaller size, of an older header, leaves the missing fields at their defaults; of
//! a larger one, of a newer header, the bytes that this library does not know must be zero, or the call ends
//! with THIMBLE_E_UNSUPPORTED. Sizes that no header has are THIMBLE_E_INVALID_ARGUMENT. What is filled in is
//! filled in as far as the size goes.
//!
//! Texts are UTF-8: with a length where they may be long, else ending with a zero byte. Texts that are
//! returned are asked for twice: `*size` is how many bytes there is room for, and afterwards how many the
//! text has with its zero byte. Where that does not fit, or the buffer is NULL, the call ends with
//! THIMBLE_E_TOO_SMALL and nothing else has happened.
//!
//! Errors. Every function returns a status. A call that failed has changed nothing unless its description
//! says otherwise. `error` may always be NULL; else it is filled in by calls that fail and left alone by
//! others.
//!
//! This is version 0 of the interface: until 1, a new minor version of the library may change it, and then
//! has another soname.
#ifndef THIMBLE_H
#define THIMBLE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/// Marks what the library exports.
#if defined(__GNUC__)
#define THIMBLE_API __attribute__((visibility("default")))
#else
#define THIMBLE_API
#endif

/// The version of the interface that this header describes; see `thimble_abi_version`.
#define THIMBLE_ABI_VERSION 0

// MARK: Statuses

/// How a call ended. The numbers are pinned: they never change and are never used again. Names say the kind
/// of fault; `thimble_error` says the rest.
typedef enum thimble_status {
    /// It did what it was asked to.
    THIMBLE_OK = 0,
    /// An argument that cannot be: a pointer that is NULL, a handle that is none, a number out of range.
    THIMBLE_E_INVALID_ARGUMENT = 1,
    /// An input file that is not there or cannot be read.
    THIMBLE_E_INPUT_MISSING = 2,
    /// A model, image, document or session that is damaged or is not what it says.
    THIMBLE_E_CORRUPT = 3,
    /// Something well-formed that this library does not do.
    THIMBLE_E_UNSUPPORTED = 4,
    /// The conversation does not fit in the context.
    THIMBLE_E_CONTEXT_FULL = 5,
    /// Memory was refused.
    THIMBLE_E_OUT_OF_MEMORY = 6,
    /// A read or a write failed: disk full, permission.
    THIMBLE_E_IO = 7,
    /// No device does what was asked, or the device failed.
    THIMBLE_E_NO_DEVICE = 8,
    /// Somebody called `thimble_session_cancel`.
    THIMBLE_E_CANCELLED = 9,
    /// A fault of this library.
    THIMBLE_E_INTERNAL = 10,
    /// An output that cannot be made where it is asked for.
    THIMBLE_E_CANNOT_CREATE = 11,
    /// What was asked for does not fit the memory that it may take. The text of the error has the shortfall
    /// in bytes and settings that fit, in the words of the program's flags, which the fields of
    /// `thimble_model_options` share.
    THIMBLE_E_BUDGET_EXCEEDED = 12,
    /// The handle is in use: by another thread, by the call whose callback this is, or by what was made of
    /// it.
    THIMBLE_E_BUSY = 64,
    /// A callback asked to stop.
    THIMBLE_E_STOPPED = 65,
    /// The buffer has too little room; its size says now how much is needed.
    THIMBLE_E_TOO_SMALL = 66,
    THIMBLE_STATUS_MAX = 0x7fffffff
} thimble_status;

/// What in particular was wrong, where a program may want to know. Pinned as statuses are.
typedef enum thimble_detail {
    /// The status says it all.
    THIMBLE_DETAIL_NONE = 0,
    /// A pointer is NULL that may not be.
    THIMBLE_DETAIL_NULL = 1,
    /// A structure's `struct_size` is one that no header has.
    THIMBLE_DETAIL_STRUCT_SIZE = 2,
    /// A structure has a field that this library does not know, and it is not zero.
    THIMBLE_DETAIL_UNKNOWN_FIELD = 3,
    /// The handle was closed, or never was one of that kind.
    THIMBLE_DETAIL_HANDLE = 4,
    /// A text is not UTF-8.
    THIMBLE_DETAIL_ENCODING = 5,
    /// A number, or a value of an enumeration, is none that it may be.
    THIMBLE_DETAIL_RANGE = 6,
    /// Another thread is using the session.
    THIMBLE_DETAIL_IN_USE = 7,
    /// The call came from a callback of the session's own call.
    THIMBLE_DETAIL_REENTERED = 8,
    /// `thimble_session_begin` has begun an answer that `thimble_session_finish` has yet to end.
    THIMBLE_DETAIL_ANSWERING = 9,
    /// No answer has been begun.
    THIMBLE_DETAIL_NOT_ANSWERING = 10,
    /// Sessions of the model are open, or models of the runtime.
    THIMBLE_DETAIL_HAS_OPEN = 11,
    /// There are as many handles as there may be.
    THIMBLE_DETAIL_HANDLES = 12,
    THIMBLE_DETAIL_MAX = 0x7fffffff
} thimble_detail;

/// Why a call failed. The caller's memory; filled in without taking any.
typedef struct thimble_error {
    /// `sizeof(thimble_error)`.
    size_t struct_size;
    /// What the call returned.
    thimble_status status;
    thimble_detail detail;
    /// The system's error number; 0 where the system is not at fault or did not say.
    int32_t system_error;
    /// Vulkan's result; 0 where no device is at fault or it did not say.
    int32_t vulkan_result;
    /// One line that names the thing at fault and, where there is one, the mend. Cut at a character where it
    /// would be longer; always ends with a zero byte.
    char text[1000];
} thimble_error;

/// The version of the interface that this library has: that of the header it was built with.
/// Threads: any, at any time, also a signal handler.
/// Ownership: a number, which is nobody's.
THIMBLE_API uint32_t thimble_abi_version(void);

/// The version of the library, as `0.1.0`.
/// Threads: any, at any time, also a signal handler.
/// Ownership: the text is the library's, and lives as long as that.
THIMBLE_API const char *thimble_version_string(void);

/// The name of a status without its prefix, as `BUDGET_EXCEEDED`; `UNKNOWN` for a number that is none.
/// Threads: any, at any time, also a signal handler.
/// Ownership: the text is the library's, and lives as long as that.
THIMBLE_API const char *thimble_status_name(thimble_status status);

// MARK: Runtimes

/// What models share: the budget beneath theirs, and the devices of this machine. Serves many threads at
/// once; who made it closes it.
typedef struct thimble_runtime thimble_runtime;
/// A model in memory, or as much of it as its limits allow. Serves many threads at once; who loaded it closes
/// it.
typedef struct thimble_model thimble_model;
/// One conversation with a model. Serves one thread at a time; who made it closes it.
typedef struct thimble_session thimble_session;

/// How a runtime is made.
typedef struct thimble_runtime_options {
    /// `sizeof(thimble_runtime_options)`.
    size_t struct_size;
    /// A budget that counts where a model's own options and budget say nothing: the path of a TOML file, or
    /// the name of a shipped profile. NULL for none.
    const char *budget;
    /// The same in memory: the text of a TOML file, of so many bytes. NULL for none, and where `budget` is
    /// given.
    const char *budget_text;
    size_t budget_text_length;
} thimble_runtime_options;

/// Makes a runtime. `options` may be NULL.
/// Fails with THIMBLE_E_INPUT_MISSING where there is no such budget, THIMBLE_E_INVALID_ARGUMENT where it says
/// what none says.
/// Threads: any, at any time.
/// Ownership: `*runtime` becomes the caller's, who closes it; `options` and `error` stay so.
THIMBLE_API thimble_status thimble_runtime_create(
    const thimble_runtime_options *options, thimble_runtime **runtime, thimble_error *error);

/// Closes a runtime. THIMBLE_E_BUSY while a model of it is open or being loaded.
/// Threads: any, at any time; of two that close it one does.
/// Ownership: takes the handle unless it fails; `error` is the caller's.
THIMBLE_API thimble_status thimble_runtime_close(thimble_runtime *runtime, thimble_error *error);

/// One device of this machine.
typedef struct thimble_device_info {
    /// `sizeof(thimble_device_info)`.
    size_t struct_size;
    /// How many devices there are.
    uint32_t device_count;
    /// Whether models can run on it.
    int32_t is_usable;
    /// Bytes of its own memory; 0 for the CPU.
    uint64_t memory_bytes;
    /// What `thimble_model_options.device` calls it: `cpu`, `vulkan:0`.
    char name[32];
    /// What it calls itself, cut where it is longer.
    char title[256];
    /// Why it cannot be used; empty where it can.
    char rejection[256];
} thimble_device_info;

/// Describes device `index`, counted from 0; the CPU is the first, so that there always is one. What there is
/// is looked up once a runtime.
/// Fails with THIMBLE_E_INVALID_ARGUMENT and THIMBLE_DETAIL_RANGE where there are fewer devices.
/// Threads: any, at any time.
/// Ownership: `info` and `error` are the caller's, and are filled in.
THIMBLE_API thimble_status thimble_device_describe(
    thimble_runtime *runtime, uint32_t index, thimble_device_info *info, thimble_error *error);

// MARK: Models

/// How keys and values are stored.
typedef enum thimble_kv_type {
    /// As the budget says, else as float16.
    THIMBLE_KV_DEFAULT = 0,
    THIMBLE_KV_F16 = 1,
    /// About half the memory of float16, at some cost in accuracy.
    THIMBLE_KV_INT8 = 2,
    /// About a third.
    THIMBLE_KV_INT5 = 3,
    THIMBLE_KV_TYPE_MAX = 0x7fffffff
} thimble_kv_type;

/// Hears what share of a model is loaded, 0 to 1.
/// Threads: the one that called `thimble_model_load`.
/// Ownership: `context` is the caller's `progress_context`, and stays the caller's.
typedef void (*thimble_progress_fn)(void *context, double share);

/// How a model is planned and loaded. What is zero is as `budget` says, where that says nothing as the
/// runtime's budget says, else as the program decides.
typedef struct thimble_model_options {
    /// `sizeof(thimble_model_options)`.
    size_t struct_size;
    /// The most bytes of memory that this process may take, all of it: code, weights, conversations.
    uint64_t host_memory;
    /// The most bytes of a GPU's memory that may be taken.
    uint64_t device_memory;
    /// The most of both together, where they are one memory.
    uint64_t total_memory;
    /// A budget: the path of a TOML file, or the name of a shipped profile. NULL for none.
    const char *budget;
    /// Where the model runs: `auto`, `cpu`, `vulkan` or `vulkan:N`.
    const char *device;
    /// Threads that compute; by default one for each core that this process may use.
    uint32_t threads;
    /// The longest conversation in tokens, the answer included. All open sessions of the model together have
    /// room for as many, but for those that wait in `spill_folder`; what they have in common counts once.
    uint32_t context;
    /// The most visual tokens that an image may become; larger images are shrunk.
    uint32_t image_tokens;
    /// Tokens of a prompt that are computed together. A cancel within a prompt is heard before each layer
    /// whatever this is.
    uint32_t prefill_chunk;
    thimble_kv_type kv_type;
    /// Layers of the model that a GPU computes; by default as many as fit.
    uint32_t gpu_layers;
    /// The folder for keys and values of sessions that wait, where memory has no room for all. NULL for none.
    const char *spill_folder;
    /// The most bytes that lie there at a time, and that are written there in a day.
    uint64_t spill_size;
    uint64_t spill_written_a_day;
    /// The most bytes of memory, and of disk, for what was made of images, so that no page is looked at
    /// twice.
    uint64_t feature_memory;
    uint64_t feature_cache;
    /// The folder for that on disk, which nobody else may write to; NULL for `thimble/features` in the user's
    /// folder of caches.
    const char *feature_folder;
    /// Hears how far loading is, on the thread that loads; NULL for nobody.
    thimble_progress_fn progress;
    void *progress_context;
    /// A budget in memory: the text of a TOML file, of so many bytes. NULL for none, and where `budget` is
    /// given.
    const char *budget_text;
    size_t budget_text_length;
} thimble_model_options;

/// A plan in figures: who would live where in memory. Bytes, tokens and seconds.
typedef struct thimble_plan_figures {
    /// `sizeof(thimble_plan_figures)`.
    size_t struct_size;
    /// Of this process's memory, and the limit on it; 0 for none.
    uint64_t host_bytes;
    uint64_t host_limit;
    /// Of a GPU's memory, and the limit on it; 0 where none computes, or none is set.
    uint64_t device_bytes;
    uint64_t device_limit;
    /// Read from the file for each token, and for each image; 0 where all weights are in memory.
    uint64_t streamed_bytes;
    uint64_t streamed_vision_bytes;
    /// Of weights that a token goes through, wherever they are.
    uint64_t decoded_bytes;
    /// The longest conversation.
    uint32_t context;
    /// Tokens of a prompt that are computed together.
    uint32_t prefill_chunk;
    /// The most visual tokens of an image, where the plan limits them; 0 where it does not.
    uint32_t image_tokens;
    uint32_t threads;
    /// Layers of the decoder, and those of them that the processor computes beside a GPU.
    uint32_t layers;
    uint32_t cpu_layers;
    /// As predicted; 0 where nothing is, for a GPU has all weights.
    double tokens_per_second;
    double first_token_seconds;
    /// Tokens of the prompt whose first token that is.
    uint32_t prompt_tokens;
} thimble_plan_figures;

/// The form of a plan in words.
typedef enum thimble_text_form {
    /// Lines for a person, as `thimble plan` prints them.
    THIMBLE_TEXT_PLAIN = 0,
    /// One JSON object, as `thimble plan --json` prints it.
    THIMBLE_TEXT_JSON = 1,
    THIMBLE_TEXT_FORM_MAX = 0x7fffffff
} thimble_text_form;

/// Says how the model at `path` would run, and loads nothing. `options` and `figures` may be NULL. `size` may
/// be NULL, then there is no text; else `text` gets the plan in words, as far as there is room: see above.
/// The figures are filled in also where the text does not fit; the plan that is asked for again then is the
/// same.
/// Fails with THIMBLE_E_BUDGET_EXCEEDED, with the shortfall and settings that fit, where there is no plan
/// within the limits, and with what a model file or a device may be refused for.
/// Threads: any, at any time.
/// Ownership: all is the caller's: `path`, `options`; `figures`, `text`, `size`, `error`, which it fills in.
THIMBLE_API thimble_status thimble_plan(
    thimble_runtime *runtime, const char *path, const thimble_model_options *options,
    thimble_plan_figures *figures, thimble_text_form form, char *text, size_t *size, thimble_error *error);

/// Loads the model file at `path`, which takes a while. `options` may be NULL.
/// Fails as `thimble_plan` does, before anything is read, and with THIMBLE_E_OUT_OF_MEMORY or THIMBLE_E_IO.
/// Threads: any, at any time; `progress` is called on the one that loads.
/// Ownership: `*model` becomes the caller's, who closes it; `path`, `options` and `error` stay so.
THIMBLE_API thimble_status thimble_model_load(
    thimble_runtime *runtime, const char *path, const thimble_model_options *options, thimble_model **model,
    thimble_error *error);

/// Closes a model, and gives its memory back. THIMBLE_E_BUSY while a session of it is open.
/// Threads: any, at any time; of two that close it one does.
/// Ownership: takes the handle unless it fails; `error` is the caller's.
THIMBLE_API thimble_status thimble_model_close(thimble_model *model, thimble_error *error);

/// What a model is, and how it was loaded.
typedef struct thimble_model_info {
    /// `sizeof(thimble_model_info)`.
    size_t struct_size;
    /// The longest conversation, in tokens.
    uint32_t context;
    uint32_t vocabulary;
    uint32_t layers;
    /// Whether it takes images, and so documents.
    int32_t sees_images;
    /// Whether it has a tokenizer and a chat format that is known: what conversations need.
    int32_t can_converse;
    thimble_kv_type kv_type;
    uint32_t threads;
    /// Seconds that loading took.
    double load_seconds;
    /// The model's name, and the device's: `cpu`, `vulkan:0`. Cut where they are longer.
    char name[128];
    char device[32];
} thimble_model_info;

/// Describes a model.
/// Threads: any, at any time.
/// Ownership: `info` and `error` are the caller's, and are filled in.
THIMBLE_API thimble_status thimble_model_describe(
    thimble_model *model, thimble_model_info *info, thimble_error *error);

/// What a model and its sessions take, in bytes.
typedef struct thimble_model_stats {
    /// `sizeof(thimble_model_stats)`.
    size_t struct_size;
    /// Drawn from the limits now, and at most so far.
    uint64_t host_bytes;
    uint64_t host_peak_bytes;
    uint64_t device_bytes;
    uint64_t device_peak_bytes;
    /// The limits; 0 for none.
    uint64_t host_limit;
    uint64_t device_limit;
    /// The most that this process has held of the system's memory so far; 0 where the system does not tell.
    uint64_t process_peak_bytes;
    /// Held of the device's memory by this process, as its driver says; 0 where it does not tell.
    uint64_t device_used_bytes;
    /// Sessions that are open.
    uint32_t sessions;
} thimble_model_stats;

/// Says what a model takes.
/// Threads: any, at any time; waits for no answer.
/// Ownership: `stats` and `error` are the caller's, and are filled in.
THIMBLE_API thimble_status thimble_model_measure(
    thimble_model *model, thimble_model_stats *stats, thimble_error *error);

/// The token ids of a text of `length` bytes; special tokens' spellings in it are ordinary text. `*count` is
/// how many there is room for at `tokens`, and afterwards how many there are; where they do not fit, or
/// `tokens` is NULL, the call ends with THIMBLE_E_TOO_SMALL.
/// Threads: any, at any time.
/// Ownership: all is the caller's: `text`, and `tokens`, `count` and `error`, which are filled in.
THIMBLE_API thimble_status thimble_tokenize(
    thimble_model *model, const char *text, size_t length, int32_t *tokens, size_t *count,
    thimble_error *error);

/// The text of `count` token ids, special tokens as their spelling, as every text is returned.
/// Threads: any, at any time.
/// Ownership: all is the caller's: `tokens`, and `text`, `size` and `error`, which are filled in.
THIMBLE_API thimble_status thimble_detokenize(
    thimble_model *model, const int32_t *tokens, size_t count, char *text, size_t *size,
    thimble_error *error);

// MARK: Sessions

/// Who says a message.
typedef enum thimble_role {
    THIMBLE_ROLE_SYSTEM = 0,
    THIMBLE_ROLE_USER = 1,
    THIMBLE_ROLE_ASSISTANT = 2,
    THIMBLE_ROLE_MAX = 0x7fffffff
} thimble_role;

/// Begins an empty conversation.
/// Threads: any, at any time; may wait for another session's prompt or token.
/// Ownership: `*session` becomes the caller's, who closes it; `error` is the caller's.
THIMBLE_API thimble_status thimble_session_create(
    thimble_model *model, thimble_session **session, thimble_error *error);

/// Closes a session, with the answer that it may have begun. THIMBLE_E_BUSY while a call is at work on it:
/// cancel that and wait for it to return.
/// Threads: any but a callback of the session's own, which gets THIMBLE_E_BUSY; of two one closes it.
/// Ownership: takes the handle unless it fails; `error` is the caller's.
THIMBLE_API thimble_status thimble_session_close(thimble_session *session, thimble_error *error);

/// Adds `length` bytes of text to the conversation. What follows something of the same role joins its
/// message. Special tokens' spellings in it are ordinary text: nothing in it can end a turn or begin another
/// one. Nothing is computed yet.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session.
/// Ownership: `text` is copied; it and `error` stay the caller's.
THIMBLE_API thimble_status thimble_session_append_text(
    thimble_session *session, thimble_role role, const char *text, size_t length, thimble_error *error);

/// How an image's bytes are to be read.
typedef enum thimble_image_format {
    /// A PNG, JPEG or WebP file.
    THIMBLE_IMAGE_FILE = 0,
    /// Rows from the top, of red, green and blue, a byte each, without padding.
    THIMBLE_IMAGE_RGB = 1,
    THIMBLE_IMAGE_FORMAT_MAX = 0x7fffffff
} thimble_image_format;

/// An image in memory.
typedef struct thimble_image {
    /// `sizeof(thimble_image)`.
    size_t struct_size;
    thimble_image_format format;
    /// In pixels; of files they must be 0, for those say it themselves.
    uint32_t width;
    uint32_t height;
    const uint8_t *bytes;
    size_t byte_count;
} thimble_image;

/// Adds an image to the user's message. Nothing is computed yet.
/// Fails with THIMBLE_E_CORRUPT for what is no image or is too large, THIMBLE_E_UNSUPPORTED where the model
/// takes none.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session.
/// Ownership: `image` and its bytes are copied; they and `error` stay the caller's.
THIMBLE_API thimble_status thimble_session_append_image(
    thimble_session *session, const thimble_image *image, thimble_error *error);

/// How a document reaches a model.
typedef enum thimble_reading_mode {
    /// Images and PDFs as pages, text set on pages; a PDF's text, too, for a model whose file says how pages
    /// are set.
    THIMBLE_READING_DEFAULT = 0,
    /// The document's own pages.
    THIMBLE_READING_PAGE = 1,
    /// Its text, set anew on pages.
    THIMBLE_READING_GLYPH = 2,
    /// Its text, as text.
    THIMBLE_READING_TEXT = 3,
    THIMBLE_READING_MODE_MAX = 0x7fffffff
} thimble_reading_mode;

/// Hears what was left out of a document because nobody sees it, or is damaged: a sentence, ending with a
/// zero byte, that holds no text of the document.
/// Threads: the one that made the call.
/// Ownership: `note` is the library's, and lives until the callback returns; `context` is the caller's
/// `note_context`.
typedef void (*thimble_note_fn)(void *context, const char *note);

/// A document: a file of any kind that Thimble reads, or the bytes of one, told by its content.
typedef struct thimble_document {
    /// `sizeof(thimble_document)`.
    size_t struct_size;
    /// The file's path. Where `bytes` are given, nothing is read there: it is what errors call them, and one
    /// that ends in `.md` says that a text is Markdown; then NULL is `the document`.
    const char *path;
    /// The first page, counted from 0, and how many; 0 for all from there on. A PDF's own pages, also where
    /// its text is set anew; no more than 500 of one are read. What is read as text is one page but for a
    /// PDF.
    uint32_t first_page;
    uint32_t page_count;
    /// The path of page settings in JSON. NULL for the model's, where there is one, else Glyph's; what the
    /// budget says of pages counts before those.
    const char *page_settings;
    /// The font file that text is drawn with; NULL for that of the settings.
    const char *font;
    /// How it is read; a mode that the document does not have is THIMBLE_E_INVALID_ARGUMENT.
    thimble_reading_mode mode;
    /// Hears notes, on the thread that reads the document; NULL for nobody.
    thimble_note_fn receive_note;
    void *note_context;
    /// The document itself: all bytes of a file, and how many. NULL where it is read from `path`.
    const uint8_t *bytes;
    size_t byte_count;
} thimble_document;

/// Draws the pages of a document and adds them to the user's message as images; `*page_count`, which may be
/// NULL, says how many: none of what is read as text, which is added so. The model looks at them when an
/// answer is generated. `thimble_session_cancel` is heard between two pages.
/// Fails with THIMBLE_E_CONTEXT_FULL where the pages alone take more tokens than the context has, and with
/// what a document may be refused for.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session. `receive_note` is called on it.
/// Ownership: `document` with all in it, `page_count` and `error` stay the caller's, and none is kept.
THIMBLE_API thimble_status thimble_session_append_document(
    thimble_session *session, const thimble_document *document, uint32_t *page_count, thimble_error *error);

/// A choice that may be left to the model.
typedef enum thimble_choice {
    THIMBLE_AUTO = 0,
    THIMBLE_ON = 1,
    THIMBLE_OFF = 2,
    THIMBLE_CHOICE_MAX = 0x7fffffff
} thimble_choice;

/// Which fields of `thimble_generate_options` count; the others are as the model's file says.
enum {
    THIMBLE_SETS_TEMPERATURE = 1,
    THIMBLE_SETS_TOP_K = 2,
    THIMBLE_SETS_TOP_P = 4,
    THIMBLE_SETS_MIN_P = 8,
    THIMBLE_SETS_REPETITION_PENALTY = 16,
    THIMBLE_SETS_FREQUENCY_PENALTY = 32,
    THIMBLE_SETS_PRESENCE_PENALTY = 64,
    /// Without a seed each answer draws one.
    THIMBLE_SETS_SEED = 128
};

/// How an answer is generated.
typedef struct thimble_generate_options {
    /// `sizeof(thimble_generate_options)`.
    size_t struct_size;
    /// The most tokens of the answer; 0 goes on until it ends or the context is full.
    uint32_t max_tokens;
    /// Which of the fields down to `seed` count: a sum of THIMBLE_SETS_....
    uint32_t sets;
    /// Divides the logits; 0 takes the likeliest token every time.
    float temperature;
    /// Keeps the likeliest tokens; 0 keeps all.
    uint32_t top_k;
    /// Keeps the likeliest tokens whose probabilities sum to it; 1 keeps all.
    float top_p;
    /// Drops tokens less likely than this share of the likeliest; 0 drops none.
    float min_p;
    /// Makes tokens less likely that were seen; 1 changes nothing.
    float repetition_penalty;
    /// Makes tokens less likely for each time they were generated; 0 changes nothing.
    float frequency_penalty;
    /// Makes tokens less likely that were generated; 0 changes nothing.
    float presence_penalty;
    /// Whether the model thinks before it answers, where it can.
    thimble_choice thinking;
    /// The same seed, model and conversation give the same text.
    uint64_t seed;
    /// Texts that end the answer and are no part of it.
    const char *const *stops;
    size_t stop_count;
    /// A prompt that the caller has written whole, of so many bytes, in place of the conversation in the
    /// model's chat format: for models whose format is not known, and for callers who write their own.
    /// Spellings of special tokens in it are those tokens, so no text of others belongs in it. Each of the
    /// model's placeholders for an image stands for the next of the conversation's images; there must be as
    /// many. The conversation is left as it is: what comes is no message of it. `thinking` must be
    /// THIMBLE_AUTO. NULL for the conversation.
    const char *raw_prompt;
    size_t raw_prompt_length;
} thimble_generate_options;

/// Why an answer ended.
typedef enum thimble_finish {
    /// It goes on.
    THIMBLE_FINISH_NONE = 0,
    /// The model ended it, or a stop text was met.
    THIMBLE_FINISH_STOP = 1,
    /// It has as many tokens as were asked for, or the context is full.
    THIMBLE_FINISH_LENGTH = 2,
    /// It was cancelled, or ended before its end by a callback or by `thimble_session_finish`.
    THIMBLE_FINISH_CANCELLED = 3,
    THIMBLE_FINISH_MAX = 0x7fffffff
} thimble_finish;

/// What came of an answer.
typedef struct thimble_result {
    /// `sizeof(thimble_result)`.
    size_t struct_size;
    thimble_finish finish;
    /// Tokens of the prompt, visual ones included; and those of them that were computed before.
    uint32_t prompt_tokens;
    uint32_t cached_tokens;
    uint32_t image_tokens;
    uint32_t generated_tokens;
    /// Images that went through the vision tower, and that did not have to.
    uint32_t images_encoded;
    uint32_t images_cached;
    /// Until what was made of all images was there.
    double vision_seconds;
    /// From the call to the first token, vision included.
    double first_token_seconds;
    /// From the first token to the last.
    double decode_seconds;
} thimble_result;

/// Receives `length` bytes of an answer, which end at a character and not with a zero byte. Returns 0 to go
/// on, anything else to stop.
/// Threads: the one that called `thimble_session_generate`.
/// Ownership: `text` is the library's, and lives until the callback returns; `context` is the caller's.
typedef int (*thimble_text_fn)(void *context, const char *text, size_t length);

/// Answers the conversation, and adds the answer to it; or goes on with `raw_prompt`, and adds nothing.
/// `receive` gets the text as it comes; it may be NULL, as `options` and `result` may.
///
/// Where the answer is cancelled or `receive` stops it, it is added as far as it came, the result is filled
/// in, and the status is THIMBLE_E_CANCELLED or THIMBLE_E_STOPPED. Fails with THIMBLE_E_CONTEXT_FULL, with
/// both counts, before anything is computed; with THIMBLE_E_UNSUPPORTED where the model cannot converse.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session. `receive` is called on it.
/// Ownership: `options`, `context`, `result` and `error` stay the caller's, and none is kept.
THIMBLE_API thimble_status thimble_session_generate(
    thimble_session *session, const thimble_generate_options *options, thimble_text_fn receive, void *context,
    thimble_result *result, thimble_error *error);

/// Begins an answer that `thimble_session_next` brings a token at a time. `options` may be NULL. Nothing is
/// computed yet. Until `thimble_session_finish` the session takes those two, `thimble_session_cancel`,
/// `thimble_session_describe` and `thimble_session_close`, and has THIMBLE_E_BUSY for all else.
/// Fails as `thimble_session_generate` does.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session; another may go on.
/// Ownership: `options` is copied; it and `error` stay the caller's.
THIMBLE_API thimble_status thimble_session_begin(
    thimble_session *session, const thimble_generate_options *options, thimble_error *error);

/// A piece of an answer.
typedef struct thimble_piece {
    /// `sizeof(thimble_piece)`.
    size_t struct_size;
    /// THIMBLE_FINISH_NONE while the answer goes on. With anything else it has ended, and the text is the
    /// rest.
    thimble_finish finish;
    /// The token that was drawn; -1 where there was none.
    int32_t token;
    /// Its text, ending with a zero byte that is not counted: whole characters, so that a token may have none
    /// and another one those of several. Belongs to the session and lives until the next call with it.
    const char *text;
    size_t length;
} thimble_piece;

/// Draws the next token of the answer that was begun; with the first, the prompt is computed. After the last
/// piece there is no other: THIMBLE_E_INVALID_ARGUMENT and THIMBLE_DETAIL_NOT_ANSWERING.
///
/// On a failure the answer is over, and the conversation is as it was before it was begun.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session; may wait for another session's
/// prompt or token.
/// Ownership: `piece` and `error` are the caller's; its text is the session's until the next call with that.
THIMBLE_API thimble_status thimble_session_next(
    thimble_session *session, thimble_piece *piece, thimble_error *error);

/// Ends the answer that was begun, at its end or before, and adds it to the conversation as far as it came,
/// unless it goes on with a `raw_prompt`. `result` may be NULL.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session.
/// Ownership: `result` and `error` are the caller's, and are filled in.
THIMBLE_API thimble_status thimble_session_finish(
    thimble_session *session, thimble_result *result, thimble_error *error);

/// Asks the session's answer, or the document that is being added, to end: within a token, and within a layer
/// of a prompt. Does nothing where neither is.
/// Threads: any, at any time, callbacks and signal handlers, too: it takes no lock and no memory.
/// Ownership: takes and gives nothing.
THIMBLE_API thimble_status thimble_session_cancel(thimble_session *session);

/// Takes back all but the first `message_count` messages; what was computed of those stays. The next answer
/// goes on from there.
/// Fails with THIMBLE_E_INVALID_ARGUMENT and THIMBLE_DETAIL_RANGE where the conversation has fewer messages.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session.
/// Ownership: `error` is the caller's.
THIMBLE_API thimble_status thimble_session_rewind(
    thimble_session *session, size_t message_count, thimble_error *error);

/// Makes another conversation that has begun alike, and shares with this one what is computed until they
/// part.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session.
/// Ownership: `*fork` becomes the caller's, who closes it; `error` is the caller's.
THIMBLE_API thimble_status thimble_session_fork(
    thimble_session *session, thimble_session **fork, thimble_error *error);

/// Saves the session to a file, which afterwards is as it was or is the new one whole.
/// Fails with THIMBLE_E_IO where the disk does not take it, THIMBLE_E_CANNOT_CREATE where no file can be made
/// there or another process makes one.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session.
/// Ownership: `path` and `error` stay the caller's, and so is the file.
THIMBLE_API thimble_status thimble_session_save(
    thimble_session *session, const char *path, thimble_error *error);

/// Brings back a session that was saved with the same model: nothing is computed anew, and no image is looked
/// at again.
/// Fails with THIMBLE_E_INPUT_MISSING, THIMBLE_E_CORRUPT, THIMBLE_E_UNSUPPORTED where the model or the form
/// of its keys and values is another one, THIMBLE_E_CONTEXT_FULL where the context is too short for it.
/// Threads: any, at any time; may wait for another session's prompt or token.
/// Ownership: `*session` becomes the caller's, who closes it; `path` and `error` stay so.
THIMBLE_API thimble_status thimble_session_restore(
    thimble_model *model, const char *path, thimble_session **session, thimble_error *error);

/// How far a conversation is.
typedef struct thimble_session_info {
    /// `sizeof(thimble_session_info)`.
    size_t struct_size;
    /// Messages so far.
    uint32_t message_count;
    /// Images in them.
    uint32_t image_count;
    /// Tokens that keys and values are held of.
    uint32_t token_count;
    /// The longest conversation, in tokens.
    uint32_t context;
    /// Whether an answer was begun that is not finished.
    int32_t is_answering;
} thimble_session_info;

/// Describes a session.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session.
/// Ownership: `info` and `error` are the caller's, and are filled in.
THIMBLE_API thimble_status thimble_session_describe(
    thimble_session *session, thimble_session_info *info, thimble_error *error);

/// The text of message `index`, counted from 0, without its images, as every text is returned; and who says
/// it, unless `role` is NULL.
/// Threads: any; THIMBLE_E_BUSY while another call is at work on the session.
/// Ownership: `role`, `text`, `size` and `error` are the caller's, and are filled in.
THIMBLE_API thimble_status thimble_session_message(
    thimble_session *session, size_t index, thimble_role *role, char *text, size_t *size,
    thimble_error *error);

// MARK: Documents

/// A drawn page.
typedef struct thimble_page {
    /// `sizeof(thimble_page)`.
    size_t struct_size;
    /// Counted from 0 among the pages that are drawn, and how many those are.
    uint32_t index;
    uint32_t page_count;
    /// In pixels.
    uint32_t width;
    uint32_t height;
    /// Rows from the top, of red, green and blue, a byte each, without padding: `3 * width * height` bytes.
    const uint8_t *rgb;
} thimble_page;

/// Receives a page. Returns 0 to go on, anything else to stop.
/// Threads: the one that called `thimble_render_document`.
/// Ownership: `page` and its pixels are the library's, and live until the callback returns; `context` is the
/// caller's.
typedef int (*thimble_page_fn)(void *context, const thimble_page *page);

/// Draws the pages of a document, as a model would see them, one after the other. What is read as text has
/// none.
/// Fails with THIMBLE_E_STOPPED where `receive` stops it, and with what a document may be refused for.
/// Threads: any, at any time; `receive` and `receive_note` are called on it.
/// Ownership: `document`, `context` and `error` stay the caller's, and none is kept.
THIMBLE_API thimble_status thimble_render_document(
    thimble_runtime *runtime, const thimble_document *document, thimble_page_fn receive, void *context,
    thimble_error *error);

#ifdef __cplusplus
}
#endif

#endif
