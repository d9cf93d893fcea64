/* example.c: the program `edgekit_unpack PACK` lists the files of a pack, `edgekit_unpack PACK NAME` writes one to stdout.
 *
 *     cc -std=c99 -O2 example.c edgekit_unpack.c -o edgekit_unpack
 *
 * SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define EDGEKIT_UNPACK_DECLARATIONS
#include "edgekit_unpack.c"

int main(int count, char **arguments) {
    static const char *const why[] = {"", "no pack", "damaged", "too small", "needs Zstandard", "other digest", "no such file"};
    enum edgekit_status status = EDGEKIT_NO_PACK;
    uint8_t *pack = NULL, *plain = NULL;
    size_t pack_size = 0, size = 0;
    FILE *input = count > 1 ? fopen(arguments[1], "rb") : NULL;
    if (!input) return fprintf(stderr, "usage: %s PACK [NAME]\n", arguments[0]), 2;
    while ((pack = realloc(pack, pack_size + 65536))) {
        size_t got = fread(pack + pack_size, 1, 65536, input);
        if (!got) break;
        pack_size += got;
    }
    if (pack) status = edgekit_unpacked_size(pack, pack_size, &size);
    if (!status && (plain = malloc(size))) status = edgekit_unpack(pack, pack_size, plain, size, NULL);
    edgekit_file file;
    for (size_t i = 0; plain && !status && (status = edgekit_file_at(plain, size, i, &file)) == EDGEKIT_OK; i++) {
        if (count < 3) printf("%10zu  %.*s\n", file.size, (int)file.name_size, file.name);
        else if (strlen(arguments[2]) == file.name_size && !memcmp(arguments[2], file.name, file.name_size))
            return fwrite(file.data, 1, file.size, stdout) == file.size && !fflush(stdout) ? 0 : 1;
    }
    if (count < 3 && status == EDGEKIT_NO_FILE) return 0;
    return fprintf(stderr, "%s: %s\n", arguments[1], plain ? why[status] : status ? why[status] : "out of memory"), 1;
}
