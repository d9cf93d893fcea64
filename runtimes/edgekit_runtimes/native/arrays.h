/* Files of named arrays, little-endian: "EKT1", count; each: name length, name, element type, rank, dims (u64), bytes (u64), data. */
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "answers.h"

enum { MAX_RANK = 8, MAX_PORTS = 64 };

typedef struct { char *name; uint32_t element, rank; uint64_t dims[MAX_RANK], bytes; const uint8_t *data; } Array;
typedef struct { uint32_t count; Array arrays[MAX_PORTS]; } Arrays;

static void take(const uint8_t **at, const uint8_t *end, void *to, size_t bytes) {
  if ((size_t)(end - *at) < bytes) FAIL("data", "the inputs end too early");
  memcpy(to, *at, bytes);
  *at += bytes;
}

static void read_arrays(const char *path, Arrays *arrays) {
  int file = open(path, O_RDONLY | O_CLOEXEC);
  struct stat facts;
  if (file < 0 || fstat(file, &facts) || facts.st_size < 8) FAIL("data", "cannot read the inputs");
  const uint8_t *at = mmap(NULL, facts.st_size, PROT_READ, MAP_PRIVATE, file, 0), *end = at + facts.st_size;
  if (at == MAP_FAILED) FAIL("data", "cannot read the inputs");
  char magic[4];
  take(&at, end, magic, 4);
  take(&at, end, &arrays->count, 4);
  if (memcmp(magic, "EKT1", 4) || arrays->count > MAX_PORTS) FAIL("data", "the inputs are no file of arrays");
  for (uint32_t i = 0; i < arrays->count; i++) {
    Array *a = &arrays->arrays[i];
    uint32_t length;
    take(&at, end, &length, 4);
    if (length > (size_t)(end - at)) FAIL("data", "the inputs end too early");
    a->name = reserve(length + 1);
    take(&at, end, a->name, length);
    take(&at, end, &a->element, 4);
    take(&at, end, &a->rank, 4);
    if (a->rank < 1 || a->rank > MAX_RANK) FAIL("data", "an input of rank %u", a->rank);
    take(&at, end, a->dims, 8 * a->rank);
    take(&at, end, &a->bytes, 8);
    if (a->bytes > (size_t)(end - at)) FAIL("data", "the inputs end too early");
    a->data = at;
    at += a->bytes;
  }
}

static FILE *create(const char *path, uint32_t count) {
  FILE *file = fopen(path, "wb");
  if (!file) FAIL("full", "cannot write %s", path);
  fwrite("EKT1", 1, 4, file);
  fwrite(&count, 4, 1, file);
  return file;
}

static void write_head(FILE *file, const char *name, uint32_t element, uint32_t rank, const uint64_t *dims, uint64_t bytes) {
  uint32_t length = strlen(name);
  fwrite(&length, 4, 1, file);
  fwrite(name, 1, length, file);
  fwrite(&element, 4, 1, file);
  fwrite(&rank, 4, 1, file);
  fwrite(dims, 8, rank, file);
  fwrite(&bytes, 8, 1, file);
}

static void finish(FILE *file) {
  int bad = fflush(file) || ferror(file);
  if (fclose(file) || bad) FAIL("full", "the outputs could not be written: no room on the device");
}
