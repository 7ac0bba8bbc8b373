//! Stands for libzip, libxml2 and libmd4c where the program and the library are linked to be installed: each function
//! looks for the real one when it is called. Documents asks first whether the libraries are here
//! (`DocumentLibrary.swift`), so that what is returned without one is never a document's fault.
#include <dlfcn.h>
#include <stdatomic.h>
#include <libxml/HTMLparser.h>
#include <libxml/xmlreader.h>
#include <md4c.h>
// What is defined here is seen in no other file.
#define ZIP_EXTERN __attribute__((visibility("hidden")))
#include <zip.h>

/// A function of a library; NULL where there is none. Once found it stays.
static void *find(_Atomic(void *) *found, const char *library, const char *name) {
    void *function = atomic_load_explicit(found, memory_order_acquire);
    if (function) return function;
    void *handle = dlopen(library, RTLD_NOW | RTLD_LOCAL);
    if (handle) function = dlsym(handle, name);
    atomic_store_explicit(found, function, memory_order_release);
    return function;
}

/// Defines `name`, which no other file sees; `otherwise` is what it returns without the library.
#define LATE(library, type, name, parameters, arguments, otherwise) \
    __attribute__((visibility("hidden"))) type name parameters { \
        static _Atomic(void *) found; \
        __typeof__(&name) function = (__typeof__(&name))find(&found, library, #name); \
        if (!function) return otherwise; \
        return function arguments; \
    }

#define ZIP(type, name, parameters, arguments, otherwise) \
    LATE("libzip.so.4", type, name, parameters, arguments, otherwise)
ZIP(void, zip_error_init, (zip_error_t * error), (error), )
ZIP(void, zip_error_fini, (zip_error_t * error), (error), )
ZIP(int, zip_error_code_zip, (const zip_error_t *error), (error), ZIP_ER_OPNOTSUPP)
ZIP(zip_source_t *, zip_source_buffer_create,
    (const void *data, zip_uint64_t size, int frees, zip_error_t *error), (data, size, frees, error), NULL)
ZIP(void, zip_source_free, (zip_source_t * source), (source), )
ZIP(zip_t *, zip_open_from_source, (zip_source_t * source, int flags, zip_error_t *error), (source, flags, error),
    NULL)
ZIP(void, zip_discard, (zip_t * archive), (archive), )
ZIP(zip_int64_t, zip_get_num_entries, (zip_t * archive, zip_flags_t flags), (archive, flags), -1)
ZIP(const char *, zip_get_name, (zip_t * archive, zip_uint64_t index, zip_flags_t flags), (archive, index, flags),
    NULL)
ZIP(int, zip_stat_index, (zip_t * archive, zip_uint64_t index, zip_flags_t flags, zip_stat_t *status),
    (archive, index, flags, status), -1)
ZIP(zip_file_t *, zip_fopen_index, (zip_t * archive, zip_uint64_t index, zip_flags_t flags),
    (archive, index, flags), NULL)
ZIP(zip_int64_t, zip_fread, (zip_file_t * file, void *buffer, zip_uint64_t size), (file, buffer, size), -1)
ZIP(int, zip_fclose, (zip_file_t * file), (file), -1)

#define XML(type, name, parameters, arguments, otherwise) \
    LATE("libxml2.so.2", type, name, parameters, arguments, otherwise)
XML(void, xmlInitParser, (void), (), )
XML(xmlTextReaderPtr, xmlReaderForMemory,
    (const char *bytes, int size, const char *url, const char *encoding, int options),
    (bytes, size, url, encoding, options), NULL)
XML(void, xmlFreeTextReader, (xmlTextReaderPtr reader), (reader), )
XML(int, xmlTextReaderRead, (xmlTextReaderPtr reader), (reader), -1)
XML(int, xmlTextReaderNodeType, (xmlTextReaderPtr reader), (reader), -1)
XML(int, xmlTextReaderIsEmptyElement, (xmlTextReaderPtr reader), (reader), -1)
XML(int, xmlTextReaderMoveToElement, (xmlTextReaderPtr reader), (reader), -1)
XML(int, xmlTextReaderMoveToFirstAttribute, (xmlTextReaderPtr reader), (reader), -1)
XML(int, xmlTextReaderMoveToNextAttribute, (xmlTextReaderPtr reader), (reader), -1)
XML(const xmlChar *, xmlTextReaderConstLocalName, (xmlTextReaderPtr reader), (reader), NULL)
XML(const xmlChar *, xmlTextReaderConstValue, (xmlTextReaderPtr reader), (reader), NULL)
XML(const htmlEntityDesc *, htmlEntityLookup, (const xmlChar *name), (name), NULL)

LATE("libmd4c.so.0", int, md_parse, (const MD_CHAR *text, MD_SIZE size, const MD_PARSER *parser, void *context),
    (text, size, parser, context), -1)
