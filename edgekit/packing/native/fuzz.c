/* fuzz.c: for the tests. Reads records from stdin (four bytes of size, least significant first; that many bytes) and prints one character a
 * record: the status of its decoding. Each record is also decoded in as many altered forms as the argument says, whatever comes of
 * it: compiled with -fsanitize=address,undefined, a fault ends the program. Buffers are exactly as large as said, so that reading or
 * writing one byte too many is a fault. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EDGEKIT_UNPACK_DECLARATIONS
#include "edgekit_unpack.c"

enum { MOST = 1 << 22 };

static uint32_t state = 1;

static uint32_t chance(void) { /* xorshift32 (Marsaglia 2003) */
    state ^= state << 13, state ^= state >> 17, state ^= state << 5;
    return state;
}

static enum edgekit_status decoded(const uint8_t *pack, size_t pack_size) {
    size_t size, ends = 0;
    edgekit_file file;
    enum edgekit_status status = edgekit_unpacked_size(pack, pack_size, &size);
    if (status) return status;
    if (size > MOST) return EDGEKIT_TOO_SMALL;
    uint8_t *plain = malloc(size);
    if (!plain) abort();
    status = edgekit_unpack(pack, pack_size, plain, size, NULL);
    if (status == EDGEKIT_OK || status == EDGEKIT_OTHER_DIGEST)
        for (size_t i = 0; edgekit_file_at(plain, size, i, &file) == EDGEKIT_OK; i++)
            for (size_t k = 0; k < file.size; k++) ends += file.data[k];
    free(plain);
    return ends == (size_t)-1 ? EDGEKIT_NO_FILE : status;
}

static void decode_altered(const uint8_t *pack, size_t pack_size) {
    size_t size = chance() % 4 ? pack_size : chance() % (pack_size + 1);
    uint8_t *copy = malloc(size ? size : 1);
    if (!copy) abort();
    memcpy(copy, pack, size);
    for (uint32_t changes = 1 + chance() % 4; size > 36 && changes; changes--) {
        uint32_t where = chance() % 3 ? 36 + chance() % (uint32_t)(size - 36) : 36 + chance() % (size < 60 ? (uint32_t)size - 36 : 24);
        copy[where] = (uint8_t)(chance() % 2 ? chance() : copy[where] ^ 1u << chance() % 8);
    }
    decoded(copy, size);
    free(copy);
}

int main(int count, char **arguments) {
    long altered = count > 1 ? atol(arguments[1]) : 0;
    uint8_t head[4];
    while (fread(head, 1, 4, stdin) == 4) {
        size_t size = head[0] | (size_t)head[1] << 8 | (size_t)head[2] << 16 | (size_t)head[3] << 24;
        uint8_t *pack = malloc(size ? size : 1);
        if (!pack || fread(pack, 1, size, stdin) != size) return 2;
        putchar('0' + (int)decoded(pack, size));
        for (long i = 0; i < altered; i++) decode_altered(pack, size);
        free(pack);
    }
    return 0;
}
