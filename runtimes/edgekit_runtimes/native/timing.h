/* The loop of edgekit/timing.py, rule for rule. */
#pragma once
#include <glob.h>
#include <math.h>
#include "answers.h"
#include "clock.h"
#include "settings.h"

typedef struct { int64_t *ns; size_t count, room; } Series;

static void add_batch(Series *s, void (*call)(void), size_t count) {
  if (s->count + count > s->room) {
    s->room = 2 * (s->count + count);
    s->ns = realloc(s->ns, s->room * sizeof *s->ns);
    if (!s->ns) FAIL("memory", "no memory for samples");
  }
  for (size_t i = 0; i < count; i++) {
    int64_t start = now_ns();
    call();
    s->ns[s->count++] = now_ns() - start;
  }
}

static int ascending(const void *a, const void *b) { int64_t x = *(const int64_t *)a, y = *(const int64_t *)b; return (x > y) - (x < y); }

static int64_t *sorted(const int64_t *values, size_t count) {
  int64_t *copy = reserve(count * sizeof *copy);
  memcpy(copy, values, count * sizeof *copy);
  qsort(copy, count, sizeof *copy, ascending);
  return copy;
}

static double median(const int64_t *values, size_t count) {
  int64_t *ordered = sorted(values, count);
  double middle = (ordered[count / 2] + ordered[(count - 1) / 2]) / 2.0;
  free(ordered);
  return middle;
}

static double median_half_width(const Series *s) { /* order statistics n/2 +- 0.98 sqrt(n): see timing.py */
  size_t n = s->count;
  if (n < 8) return INFINITY;
  int64_t *ordered = sorted(s->ns, n);
  double reach = 0.98 * sqrt(n), low = fmax(0, floor(n / 2.0 - reach)), high = fmin(n - 1, ceil(n / 2.0 + reach));
  double width = (ordered[(size_t)high] - ordered[(size_t)low]) / 2.0 / ordered[n / 2];
  free(ordered);
  return width;
}

static size_t within(double value, double low, double high) { return (size_t)fmax(low, fmin(high, trunc(value))); }

static int warm_up(Series *s, void (*call)(void)) {
  double last[3], seconds = settings.warmup_seconds * 1e9;
  int64_t end = now_ns() + (int64_t)seconds;
  size_t windows = 1;
  add_batch(s, call, 1);
  last[0] = s->ns[0];
  while (now_ns() < end) {
    size_t from = s->count;
    add_batch(s, call, within(20e6 / fmax(1, last[(windows - 1) % 3]), 3, 1000));
    last[windows++ % 3] = median(s->ns + from, s->count - from);
    double high = fmax(last[0], fmax(last[1], last[2])), low = fmin(last[0], fmin(last[1], last[2]));
    if (windows > 3 && high <= low * (1 + settings.stability)) return 1;
  }
  return 0;
}

/* Clock and temperature between runs, at most every quarter second: rows of runs, seconds, MHz, degrees; see edgekit/sensing.py. */

enum { MAX_READINGS = 65536, COLUMNS = 4 };
static struct { double *rows; size_t count; glob_t clocks, zones; } watch;

static double number_in(const char *path) {
  char text[64] = "";
  FILE *file = fopen(path, "r");
  char *read = file ? fgets(text, sizeof text, file) : NULL;
  if (file) fclose(file);
  char *end = text;
  double value = strtod(text, &end);
  return read && end != text ? value : NAN;
}

static double mean_clock_mhz(void) {
  double sum = 0;
  for (size_t i = 0; i < watch.clocks.gl_pathc; i++) sum += number_in(watch.clocks.gl_pathv[i]);
  return watch.clocks.gl_pathc ? sum / watch.clocks.gl_pathc / 1e3 : NAN;
}

static int of_processor(const char *zone) { /* by its type: cpu, soc, pkg, tdie or cluster */
  static const char *const words[] = {"cpu", "soc", "pkg", "tdie", "cluster"};
  char text[64] = "";
  FILE *file = fopen(zone, "r");
  int found = 0;
  if (file && fgets(text, sizeof text, file))
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) found |= strcasestr(text, words[i]) != NULL;
  if (file) fclose(file);
  return found;
}

static double temperature_c(void) { /* of the hottest zone */
  double hottest = NAN;
  for (size_t i = 0; i < watch.zones.gl_pathc; i++) {
    char path[256];
    const char *zone = watch.zones.gl_pathv[i];
    if (!of_processor(zone)) continue;
    snprintf(path, sizeof path, "%.*stemp", (int)(strrchr(zone, '/') - zone + 1), zone);
    hottest = fmax(hottest, number_in(path) / 1e3); /* fmax passes a number by NaN */
  }
  return hottest;
}

static void take_reading(size_t runs, double seconds) {
  if (watch.count == MAX_READINGS) return;
  double row[COLUMNS] = {runs, seconds, mean_clock_mhz(), temperature_c()};
  memcpy(watch.rows + COLUMNS * watch.count++, row, sizeof row);
}

static void start_watch(void) {
  watch.rows = reserve(MAX_READINGS * COLUMNS * sizeof *watch.rows);
  glob("/sys/devices/system/cpu/cpu[0-9]*/cpufreq/scaling_cur_freq", 0, NULL, &watch.clocks);
  glob("/sys/class/thermal/thermal_zone*/type", 0, NULL, &watch.zones);
  take_reading(0, 0);
}

static int sample_until_known(Series *s, void (*call)(void), int64_t guess, int64_t start) {
  for (;;) {
    double room = settings.max_samples - s->count;
    add_batch(s, call, (size_t)fmin(room, within(50e6 / fmax(1, guess), 1, 1000)));
    double elapsed = (now_ns() - start) / 1e9;
    guess = s->ns[s->count - 1];
    if (elapsed - watch.rows[COLUMNS * (watch.count - 1) + 1] >= 0.25) take_reading(s->count, elapsed);
    int full = s->count >= settings.max_samples;
    if (full || (s->count >= settings.min_samples && elapsed >= settings.min_seconds)) {
      if (median_half_width(s) <= settings.precision) return 1;
      if (full) return 0;
    }
    if (elapsed >= settings.max_seconds && s->count >= 3) return 0;
  }
}

static int sample(Series *s, void (*call)(void), int64_t guess) {
  start_watch();
  int64_t start = now_ns();
  int precise = sample_until_known(s, call, guess, start);
  take_reading(s->count, (now_ns() - start) / 1e9);
  return precise;
}
