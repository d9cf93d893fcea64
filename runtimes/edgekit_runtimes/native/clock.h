/* Clock and marks.
 *
 * This clock_gettime stands before the C library's for every library of this process. Outside of a counted run it passes on. In one, each
 * reading is a mark for the emulator's counter, and time is the number of marks so far, in milliseconds: what LiteRT's profiler and
 * XNNPACK's then report as an operator's start and end are the marks around it. No operator is counted by guessing. */
#pragma once
#include <dlfcn.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

static int ticking, ticks;
enum { MARK = 0xed9e, BEGIN = 0, END = 1, TICK = 2 };
static int (*system_clock)(clockid_t, struct timespec *);

static void mark(long what) { syscall(SYS_getppid, (long)MARK, what); } /* getppid takes no arguments and has no effect */

__attribute__((visibility("default"))) int clock_gettime(clockid_t id, struct timespec *now) {
  if (ticking) {
    mark(TICK);
    *now = (struct timespec){1000 + ticks / 1000, ticks % 1000 * 1000000L};
    ticks++;
    return 0;
  }
  return system_clock ? system_clock(id, now) : (int)syscall(SYS_clock_gettime, id, now);
}

static int64_t clock_ns(clockid_t id) {
  struct timespec now;
  clock_gettime(id, &now);
  return now.tv_sec * 1000000000LL + now.tv_nsec;
}
static int64_t now_ns(void) { return clock_ns(CLOCK_MONOTONIC); }
