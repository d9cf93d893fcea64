/* What Linux tells of this process' memory and of a file's pages in its cache. */
#pragma once
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include "answers.h"

static long long status_bytes(const char *key) { /* of this process, from Linux' account; -1 if it does not tell */
  char line[256];
  long long kib = -1;
  FILE *file = fopen("/proc/self/status", "r");
  while (file && fgets(line, sizeof line, file))
    if (!strncmp(line, key, strlen(key)) && line[strlen(key)] == ':') { kib = atoll(line + strlen(key) + 1); break; }
  if (file) fclose(file);
  return kib < 0 ? -1 : kib * 1024;
}

static int drop_from_cache(const char *path) { /* ask the system to forget the file's pages; whether it did */
  int file = open(path, O_RDONLY | O_CLOEXEC), dropped = 0;
  struct stat facts;
  if (file < 0 || fstat(file, &facts) || !facts.st_size) FAIL("load", "cannot read the file");
  posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
  size_t pages = (facts.st_size + sysconf(_SC_PAGESIZE) - 1) / sysconf(_SC_PAGESIZE), resident = 0;
  unsigned char *there = reserve(pages);
  void *mapped = mmap(NULL, facts.st_size, PROT_READ, MAP_PRIVATE, file, 0);
  if (mapped != MAP_FAILED && !mincore(mapped, facts.st_size, there)) {
    for (size_t i = 0; i < pages; i++) resident += there[i] & 1;
    dropped = resident * 2 < pages;
  }
  if (mapped != MAP_FAILED) munmap(mapped, facts.st_size);
  free(there);
  close(file);
  return dropped;
}
