//! Copies a static library of the Swift runtime, and lets the linker leave out what nothing refers to.
//!
//! The compiler marks every public function of the standard library as one to keep, whoever needs it. That is right
//! for a shared library; in a program it keeps a megabyte of functions that nothing calls. The mark is taken off
//! sections of instructions alone: what is called is referred to, and stays for that. Metadata, which the runtime
//! finds by looking through all of it, keeps its marks.
//! usage: loosen-sections LIBRARY COPY
#include <ar.h>
#include <elf.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#ifndef SHF_GNU_RETAIN
#define SHF_GNU_RETAIN (1 << 21)
#endif

static _Noreturn void fail(const char *file, const char *fault) {
    fprintf(stderr, "loosen-sections: %s: %s\n", file, fault);
    exit(1);
}

/// Takes the mark off the sections of instructions of an object; false where its table of sections leaves it.
static int loosen(unsigned char *object, size_t size) {
    Elf64_Ehdr header;
    if (size < sizeof header) return 1;
    memcpy(&header, object, sizeof header);
    int is_object = memcmp(header.e_ident, ELFMAG, SELFMAG) == 0 && header.e_ident[EI_CLASS] == ELFCLASS64 &&
                    header.e_type == ET_REL;
    if (!is_object || header.e_shoff == 0) return 1;
    Elf64_Shdr section;
    if (header.e_shentsize != sizeof section || header.e_shoff > size || size - header.e_shoff < sizeof section)
        return 0;
    // Where there are more than the header can say, the first section says how many.
    memcpy(&section, object + header.e_shoff, sizeof section);
    uint64_t count = header.e_shnum ? header.e_shnum : section.sh_size;
    if ((size - header.e_shoff) / sizeof section < count) return 0;
    for (uint64_t i = 0; i < count; i++) {
        unsigned char *place = object + header.e_shoff + i * sizeof section;
        memcpy(&section, place, sizeof section);
        if (!(section.sh_flags & SHF_EXECINSTR)) continue;
        section.sh_flags &= ~(Elf64_Xword)SHF_GNU_RETAIN;
        memcpy(place, &section, sizeof section);
    }
    return 1;
}

int main(int count, char **arguments) {
    if (count != 3) fail("usage", "loosen-sections LIBRARY COPY");
    const char *path = arguments[1];
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) != 0) fail(path, "cannot be read");
    long length = ftell(file);
    if (length < 0) fail(path, "cannot be read");
    size_t size = (size_t)length;
    unsigned char *bytes = malloc(size + 1);
    rewind(file);
    if (!bytes || fread(bytes, 1, size, file) != size) fail(path, "cannot be read");
    fclose(file);

    if (size < SARMAG || memcmp(bytes, ARMAG, SARMAG) != 0) fail(path, "no static library");
    for (size_t at = SARMAG; at < size;) {
        struct ar_hdr member;
        if (size - at < sizeof member) fail(path, "it ends early");
        memcpy(&member, bytes + at, sizeof member);
        at += sizeof member;
        char digits[sizeof member.ar_size + 1] = {0};
        memcpy(digits, member.ar_size, sizeof member.ar_size);
        size_t member_size = strtoul(digits, NULL, 10);
        if (memcmp(member.ar_fmag, ARFMAG, 2) != 0 || member_size > size - at) fail(path, "a member is damaged");
        if (!loosen(bytes + at, member_size)) fail(path, "an object is damaged");
        // Members begin at even places.
        at += member_size + (member_size & 1);
    }

    file = fopen(arguments[2], "wb");
    if (!file || fwrite(bytes, 1, size, file) != size || fclose(file) != 0) fail(arguments[2], "cannot be written");
    free(bytes);
    return 0;
}
