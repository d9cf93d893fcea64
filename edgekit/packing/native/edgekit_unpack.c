/* edgekit_unpack.c: reads files made by `edgekit pack`, in C99, with nothing but the C library's memcpy, memmove and memcmp.
 *
 * No allocation, no global state, about 4 KB of stack, one pass. Input is not trusted: whatever the bytes are, nothing is read or written
 * outside of the buffers given, and time is bounded by the size of the output.
 *
 *     size_t size;
 *     if (edgekit_unpacked_size(pack, pack_size, &size) == EDGEKIT_OK) {
 *         uint8_t *plain = malloc(size);                                      // index and files; also the decoder's workspace
 *         if (plain && edgekit_unpack(pack, pack_size, plain, size, NULL) == EDGEKIT_OK)
 *             for (size_t i = 0; edgekit_file_at(plain, size, i, &file) == EDGEKIT_OK; i++)
 *                 ...                                                         // file.name, file.data
 *     }
 *
 * Where Zstandard was smaller than the coding of our own, the pack holds a frame of it, and decoding answers EDGEKIT_NEEDS_ZSTD unless a
 * function that calls ZSTD_decompress is passed. `edgekit pack --portable` makes packs that never need it.
 * Where this file is used, define EDGEKIT_UNPACK_DECLARATIONS and include it. example.c is a program that does.
 * SPDX-License-Identifier: Apache-2.0 */
#ifndef EDGEKIT_UNPACK_H
#define EDGEKIT_UNPACK_H

#include <stddef.h>
#include <stdint.h>

enum edgekit_status {
    EDGEKIT_OK,
    EDGEKIT_NO_PACK,      /* other bytes than a pack begins with */
    EDGEKIT_DAMAGED,      /* truncated or altered */
    EDGEKIT_TOO_SMALL,    /* the buffer is smaller than the content */
    EDGEKIT_NEEDS_ZSTD,   /* see above */
    EDGEKIT_OTHER_DIGEST, /* decoded, but to other content than the pack's sha256 says */
    EDGEKIT_NO_FILE       /* there are not so many files */
};

typedef struct {
    const char *name; /* UTF-8, relative, parts joined by '/', none of them "..": not terminated */
    size_t name_size;
    const uint8_t *data;
    size_t size;
} edgekit_file;

/* Decompresses a whole Zstandard frame; returns how many bytes it wrote, or anything else on failure. */
typedef size_t edgekit_zstd(void *to, size_t capacity, const void *from, size_t size);

enum edgekit_status edgekit_unpacked_size(const uint8_t *pack, size_t pack_size, size_t *size);
enum edgekit_status edgekit_unpack(const uint8_t *pack, size_t pack_size, uint8_t *plain, size_t capacity, edgekit_zstd *zstd);
enum edgekit_status edgekit_file_at(const uint8_t *plain, size_t size, size_t index, edgekit_file *file);

#endif
#ifndef EDGEKIT_UNPACK_DECLARATIONS

#include <string.h>

enum { HEAD = 36, LARGEST_SEGMENT = 1 << 24, LONGEST_CODE = 15, SYMBOLS = 288, ALPHABET = 256, LAST_RUN = 123 };
enum { REST, STORED, ELEMENTS, ZSTANDARD };

/* ---- bits, the least significant first; reading behind the end gives zeros and sets `failed` ---- */
typedef struct { const uint8_t *data; size_t size, at; /* bytes, bits */ int failed; } bits;

static uint32_t peek(const bits *b) { /* the next 32 bits */
    uint64_t word = 0;
    size_t first = b->at >> 3;
    for (size_t i = 0; i < 5 && first + i < b->size; i++) word |= (uint64_t)b->data[first + i] << (8 * i);
    return (uint32_t)(word >> (b->at & 7));
}

static void skip(bits *b, unsigned width) {
    if (width > 8 * (uint64_t)b->size - b->at) b->failed = 1;
    else b->at += width;
}

static uint32_t take(bits *b, unsigned width) {
    uint32_t word = peek(b);
    skip(b, width);
    return width == 32 ? word : word & ((1u << width) - 1);
}

static uint64_t golomb(bits *b, unsigned order) {
    unsigned width = order;
    while (!b->failed && !take(b, 1)) width++;
    if (b->failed || width > 32) return b->failed = 1, 0;
    return ((uint64_t)1 << width) + take(b, width) - ((uint64_t)1 << order);
}

/* ---- canonical Huffman codes ---- */
typedef struct {
    uint16_t count[LONGEST_CODE + 1]; /* codes of each length */
    uint32_t symbol[SYMBOLS];         /* by length, then value */
    unsigned symbols;
} code;

/* Codes that are missing for the set to be complete; less than 0 if it has too many. */
static int build(code *c, const uint8_t *lengths, const uint32_t *symbols, unsigned n) {
    unsigned offset[LONGEST_CODE + 2] = {0};
    int left = 1;
    memset(c->count, 0, sizeof c->count);
    c->symbols = n;
    for (unsigned i = 0; i < n; i++) c->count[lengths[i]]++;
    for (unsigned length = 1; length <= LONGEST_CODE; length++) {
        left = 2 * left - c->count[length];
        if (left < 0) return left;
        offset[length + 1] = offset[length] + c->count[length];
    }
    for (unsigned i = 0; i < n; i++) if (lengths[i]) c->symbol[offset[lengths[i]]++] = symbols ? symbols[i] : i;
    return left;
}

static uint32_t decode(bits *b, const code *c) {
    if (c->symbols == 1) return c->symbol[0];
    uint32_t word = peek(b), value = 0, first = 0, index = 0;
    for (unsigned length = 1; length <= LONGEST_CODE; length++, word >>= 1) {
        uint32_t count = c->count[length];
        value = 2 * value + (word & 1);
        first *= 2;
        if (value - first < count) {
            skip(b, length);
            return c->symbol[index + value - first];
        }
        index += count, first += count;
    }
    return b->failed = 1, 0;
}

/* ---- elements: see edgekit/packing/elements.py ---- */
static int read_code(bits *b, code *c, uint64_t largest) {
    uint32_t symbols[ALPHABET];
    uint8_t lengths[ALPHABET];
    uint64_t n = golomb(b, 0) + 1, next = 0;
    unsigned order = take(b, 5), length = 0, filled = 0;
    if (b->failed || n > ALPHABET) return 0;
    while (filled < n) {
        uint64_t first = next + golomb(b, order), row = golomb(b, 0) + 1;
        if (b->failed || row > n - filled || first + row - 1 > largest) return 0;
        for (next = first; next < first + row; next++) symbols[filled++] = (uint32_t)next;
    }
    if (n == 1) return c->symbols = 1, c->symbol[0] = symbols[0], 1;
    while ((n - 1) >> length) length++;
    for (unsigned i = 0; i < n; i++) {
        uint64_t zigzag = golomb(b, 0), change = (zigzag + 1) / 2;
        if (b->failed || change > LONGEST_CODE) return 0;
        length = zigzag % 2 ? length + (unsigned)change : length - (unsigned)change;
        if (length < 1 || length > LONGEST_CODE) return 0;
        lengths[i] = (uint8_t)length;
    }
    return build(c, lengths, symbols, (unsigned)n) == 0;
}

typedef struct {
    uint8_t *to;
    size_t stride, left; /* bytes that are still to be written */
    uint64_t held;
    unsigned width, holds; /* bits of an element; bits held */
} sink;

static int put(sink *s, uint32_t value) { /* 0 if bits would be lost */
    s->held |= (uint64_t)value << s->holds;
    for (s->holds += s->width; s->holds >= 8; s->holds -= 8, s->held >>= 8) {
        if (s->left) *s->to = (uint8_t)s->held, s->to += --s->left ? s->stride : 0;
        else if (s->held & 0xFF) return 0;
    }
    return s->left || !s->held;
}

static int read_plane(bits *b, uint8_t *to, size_t size, size_t stride) {
    code runs, values;
    sink s = {to, stride, size, 0, take(b, 5) + 1, 0};
    unsigned sparse = take(b, 1);
    uint64_t count = (8 * (uint64_t)size + s.width - 1) / s.width, largest = ((uint64_t)1 << s.width) - 1;
    uint32_t frequent = sparse ? take(b, s.width) : 0;
    if ((stride > 1 && s.width != 8) || (sparse && !read_code(b, &runs, LAST_RUN)) || !read_code(b, &values, largest)) return 0;
    if (sparse && runs.symbols == 1 && values.symbols == 1) return 0;
    for (uint64_t i = 0; i < count && !b->failed; i++) {
        if (sparse) {
            uint32_t token = decode(b, &runs);
            uint64_t run = token < 4 ? token : ((uint64_t)(4 + token % 4) << (token / 4 - 1)) + take(b, token / 4 - 1);
            if (b->failed || run > count - i) return 0;
            for (; run; run--, i++) if (!put(&s, frequent)) return 0;
            if (i == count) break;
        }
        if (!put(&s, decode(b, &values))) return 0;
    }
    return !b->failed;
}

static int read_elements(const uint8_t *from, size_t from_size, uint8_t *to, size_t size) {
    bits b = {from, from_size, 0, 0};
    size_t planes = take(&b, 4) + 1;
    for (size_t i = 0; i < planes; i++) {
        size_t part = i < size ? (size - i + planes - 1) / planes : 0;
        if (!read_plane(&b, to + (part ? i : 0), part, planes)) return 0;
    }
    return (b.at + 7) / 8 == from_size;
}

/* ---- DEFLATE, RFC 1951 ---- */
static int inflate_block(bits *b, const code *literals, const code *distances, uint8_t *to, size_t size, size_t *filled) {
    static const uint16_t lengths[29] = {3,  4,  5,  6,  7,  8,  9,  10, 11,  13,  15,  17,  19,  23, 27,
                                         31, 35, 43, 51, 59, 67, 83, 99, 115, 131, 163, 195, 227, 258};
    static const uint16_t steps[30] = {1,   2,   3,   4,   5,   7,    9,    13,   17,   25,   33,   49,   65,    97,    129,
                                       193, 257, 385, 513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385, 24577};
    for (;;) {
        uint32_t symbol = decode(b, literals);
        if (b->failed) return 0;
        if (symbol == 256) return 1;
        if (symbol < 256) {
            if (*filled == size) return 0;
            to[(*filled)++] = (uint8_t)symbol;
            continue;
        }
        if ((symbol -= 257) >= 29) return 0;
        size_t length = lengths[symbol] + take(b, symbol < 8 || symbol == 28 ? 0 : symbol / 4 - 1);
        uint32_t far = decode(b, distances);
        if (b->failed || far >= 30) return 0;
        size_t distance = steps[far] + take(b, far < 4 ? 0 : far / 2 - 1);
        if (b->failed || distance > *filled || length > size - *filled) return 0;
        for (; length; length--, (*filled)++) to[*filled] = to[*filled - distance];
    }
}

static int inflate_codes(bits *b, code *literals, code *distances) {
    static const uint8_t order[19] = {16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15};
    uint8_t lengths[320] = {0};
    unsigned n = take(b, 5) + 257, m = take(b, 5) + 1, k = take(b, 4) + 4, i = 0;
    if (n > 286 || m > 30) return 0;
    for (; i < k; i++) lengths[order[i]] = (uint8_t)take(b, 3);
    if (build(literals, lengths, NULL, 19)) return 0;
    for (i = 0; i < n + m;) {
        uint32_t symbol = decode(b, literals);
        if (b->failed || (symbol == 16 && !i)) return 0;
        uint8_t length = symbol < 16 ? (uint8_t)symbol : symbol == 16 ? lengths[i - 1] : 0;
        uint32_t repeat = symbol < 16 ? 1 : symbol == 16 ? 3 + take(b, 2) : symbol == 17 ? 3 + take(b, 3) : 11 + take(b, 7);
        if (repeat > n + m - i) return 0;
        for (; repeat; repeat--) lengths[i++] = length;
    }
    if (b->failed || !lengths[256]) return 0;
    int left = build(literals, lengths, NULL, n); /* RFC 1951: incomplete where there is one code, of one bit */
    if (left < 0 || (left && literals->count[0] + literals->count[1] != n)) return 0;
    left = build(distances, lengths + n, NULL, m);
    return left >= 0 && (!left || distances->count[0] + distances->count[1] == m);
}

static int inflate(const uint8_t *from, size_t from_size, uint8_t *to, size_t size) {
    bits b = {from, from_size, 0, 0};
    size_t filled = 0;
    uint32_t last = 0;
    while (!last) {
        code literals, distances;
        uint8_t fixed[SYMBOLS];
        last = take(&b, 1);
        uint32_t kind = take(&b, 2);
        if (b.failed || kind == 3) return 0;
        if (kind == 0) {
            size_t at = (b.at + 7) / 8;
            if (from_size - at < 4) return 0;
            size_t length = from[at] | (size_t)from[at + 1] << 8, inverse = from[at + 2] | (size_t)from[at + 3] << 8;
            if ((length ^ inverse) != 0xFFFF || length > from_size - at - 4 || length > size - filled) return 0;
            memcpy(to + filled, from + at + 4, length);
            filled += length, b.at = 8 * (at + 4 + length);
            continue;
        }
        if (kind == 1) {
            for (unsigned i = 0; i < SYMBOLS; i++) fixed[i] = i < 144 ? 8 : i < 256 ? 9 : i < 280 ? 7 : 8;
            build(&literals, fixed, NULL, SYMBOLS);
            memset(fixed, 5, 30);
            build(&distances, fixed, NULL, 30);
        } else if (!inflate_codes(&b, &literals, &distances)) return 0;
        if (!inflate_block(&b, &literals, &distances, to, size, &filled)) return 0;
    }
    return filled == size && (b.at + 7) / 8 == from_size;
}

/* ---- SHA-256, FIPS 180-4 ---- */
static void sha256(const uint8_t *data, size_t size, uint8_t digest[32]) {
    static const uint32_t k[64] = {
        0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be,
        0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa,
        0x5cb0a9dc, 0x76f988da, 0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967, 0x27b70a85,
        0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3,
        0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070, 0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f,
        0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};
    uint32_t h[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    size_t blocks = size / 64 + (size % 64 < 56 ? 1 : 2); /* with the padding */
    for (size_t block = 0; block < blocks; block++) {
        uint8_t chunk[64] = {0};
        uint32_t w[64], v[8];
        size_t begin = 64 * block, here = begin >= size ? 0 : size - begin < 64 ? size - begin : 64;
        memcpy(chunk, data + (here ? begin : 0), here);
        if (here < 64 && begin + here == size && begin <= size) chunk[here] = 0x80;
        if (block == blocks - 1)
            for (int i = 0; i < 8; i++) chunk[63 - i] = (uint8_t)((uint64_t)size << 3 >> 8 * i);
        for (int i = 0; i < 16; i++)
            w[i] = (uint32_t)chunk[4 * i] << 24 | (uint32_t)chunk[4 * i + 1] << 16 | (uint32_t)chunk[4 * i + 2] << 8 | chunk[4 * i + 3];
#define TURN(x, n) ((x) >> (n) | (x) << (32 - (n)))
        for (int i = 16; i < 64; i++) {
            uint32_t a = w[i - 15], e = w[i - 2];
            w[i] = w[i - 16] + (TURN(a, 7) ^ TURN(a, 18) ^ a >> 3) + w[i - 7] + (TURN(e, 17) ^ TURN(e, 19) ^ e >> 10);
        }
        memcpy(v, h, sizeof v);
        for (int i = 0; i < 64; i++) {
            uint32_t a = v[0], e = v[4];
            uint32_t first = v[7] + (TURN(e, 6) ^ TURN(e, 11) ^ TURN(e, 25)) + ((e & v[5]) ^ (~e & v[6])) + k[i] + w[i];
            uint32_t second = (TURN(a, 2) ^ TURN(a, 13) ^ TURN(a, 22)) + ((a & v[1]) ^ (a & v[2]) ^ (v[1] & v[2]));
            memmove(v + 1, v, 7 * sizeof *v);
            v[4] += first, v[0] = first + second;
        }
        for (int i = 0; i < 8; i++) h[i] += v[i];
    }
    for (int i = 0; i < 32; i++) digest[i] = (uint8_t)(h[i / 4] >> (24 - 8 * (i % 4)));
}

/* ---- the container: see edgekit/packing/container.py ---- */
typedef struct { const uint8_t *at, *end; } cursor;

static int varint(cursor *c, size_t *value) {
    uint64_t found = 0;
    for (unsigned i = 0; i < 5 && c->at < c->end; i++) {
        uint8_t byte = *c->at++;
        found |= (uint64_t)(byte & 0x7F) << (7 * i);
        if (byte < 0x80) return *value = (size_t)found, found <= 0xFFFFFFFFu && found <= SIZE_MAX;
    }
    return 0;
}

static const uint8_t *payload(cursor *c, size_t *size) { /* NULL if it is not there */
    if (!varint(c, size) || *size > (size_t)(c->end - c->at)) return NULL;
    c->at += *size;
    return c->at - *size;
}

enum edgekit_status edgekit_unpacked_size(const uint8_t *pack, size_t pack_size, size_t *size) {
    if (pack_size < 4 || memcmp(pack, "EKP1", 4)) return EDGEKIT_NO_PACK;
    if (pack_size < HEAD) return EDGEKIT_DAMAGED;
    cursor c = {pack + HEAD, pack + pack_size};
    return varint(&c, size) && *size ? EDGEKIT_OK : EDGEKIT_DAMAGED;
}

enum edgekit_status edgekit_unpack(const uint8_t *pack, size_t pack_size, uint8_t *plain, size_t capacity, edgekit_zstd *zstd) {
    size_t size, rest, from_size, length, filled = 0; /* the rest is inflated to the end of the buffer, and moves forward from there */
    const uint8_t *from;
    uint8_t digest[32];
    enum edgekit_status status = edgekit_unpacked_size(pack, pack_size, &size);
    if (status) return status;
    if (size > capacity) return EDGEKIT_TOO_SMALL;
    cursor c = {pack + HEAD, pack + pack_size};
    if (!varint(&c, &size) || !varint(&c, &rest) || rest > size || !(from = payload(&c, &from_size))) return EDGEKIT_DAMAGED;
    if (rest ? !inflate(from, from_size, plain + size - rest, rest) : from_size != 0) return EDGEKIT_DAMAGED;
    for (; filled < size; filled += length) {
        if (c.at == c.end) return EDGEKIT_DAMAGED;
        uint8_t method = *c.at++;
        if (!varint(&c, &length) || !length || length > size - filled) return EDGEKIT_DAMAGED;
        if (method == REST) {
            if (length > rest || length > LARGEST_SEGMENT) return EDGEKIT_DAMAGED;
            memmove(plain + filled, plain + size - rest, length);
            rest -= length;
            continue;
        }
        if (!(from = payload(&c, &from_size)) || length > size - filled - rest) return EDGEKIT_DAMAGED;
        if (method == ZSTANDARD) {
            if (length != size) return EDGEKIT_DAMAGED;
            if (!zstd) return EDGEKIT_NEEDS_ZSTD;
            if (zstd(plain, length, from, from_size) != length) return EDGEKIT_DAMAGED;
        } else if (length > LARGEST_SEGMENT) return EDGEKIT_DAMAGED;
        else if (method == STORED && from_size == length) memcpy(plain + filled, from, length);
        else if (method != ELEMENTS || !read_elements(from, from_size, plain + filled, length)) return EDGEKIT_DAMAGED;
    }
    if (c.at != c.end || rest) return EDGEKIT_DAMAGED;
    sha256(plain, size, digest);
    return memcmp(digest, pack + 4, 32) ? EDGEKIT_OTHER_DIGEST : EDGEKIT_OK;
}

static int is_safe(const char *name, size_t size) { /* every part is a plain name: relative, not "..", on every system */
    size_t part = 0;
    for (size_t i = 0; i <= size; i++) {
        if (i < size && name[i] != '/') {
            if (name[i] == '\\' || name[i] == ':' || !name[i]) return 0;
            continue;
        }
        size_t length = i - part;
        if (!length || (length == 1 && name[part] == '.') || (length == 2 && name[part] == '.' && name[part + 1] == '.')) return 0;
        part = i + 1;
    }
    return 1;
}

enum edgekit_status edgekit_file_at(const uint8_t *plain, size_t size, size_t index, edgekit_file *file) {
    cursor c = {plain, plain + size};
    size_t count, before = 0, total = 0;
    if (!size || *c.at++ > 1 || !varint(&c, &count)) return EDGEKIT_DAMAGED;
    for (size_t i = 0; i < count; i++) {
        size_t name_size, length;
        const uint8_t *name = payload(&c, &name_size);
        if (!name || !is_safe((const char *)name, name_size) || !varint(&c, &length) || length > size - total) return EDGEKIT_DAMAGED;
        if (i == index) *file = (edgekit_file){(const char *)name, name_size, NULL, length}, before = total;
        total += length;
    }
    if (total != (size_t)(c.end - c.at)) return EDGEKIT_DAMAGED;
    if (index >= count) return EDGEKIT_NO_FILE;
    file->data = c.at + before;
    return EDGEKIT_OK;
}
#endif
