/* What the runner says: one JSON object, or an error and the end of the process. */
#pragma once
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void print_string(const char *text) {
  putchar('"');
  for (const unsigned char *c = (const unsigned char *)text; *c; c++)
    if (*c < 0x20 || *c == '"' || *c == '\\') printf("\\u%04x", *c); else putchar(*c);
  putchar('"');
}

static _Noreturn void fail_with(const char *kind, const char *accepted, const char *format, ...) {
  char message[512];
  va_list arguments;
  va_start(arguments, format);
  vsnprintf(message, sizeof message, format, arguments);
  va_end(arguments);
  printf("{\"error\": {\"kind\": \"%s\", \"message\": ", kind);
  print_string(message);
  printf(", \"accepted\": ");
  print_string(accepted);
  printf("}}\n");
  fflush(stdout);
  _exit(3); /* no destructors: a library in an odd state may crash in them */
}
#define FAIL(kind, ...) fail_with(kind, "", __VA_ARGS__)
#define NEED(kind, call) do { int status_ = (call); if (status_) FAIL(kind, "%s gave status %d", #call, status_); } while (0)

static void *reserve(size_t bytes) {
  void *memory = calloc(1, bytes ? bytes : 1);
  if (!memory) FAIL("memory", "no memory for %zu bytes", bytes);
  return memory;
}
