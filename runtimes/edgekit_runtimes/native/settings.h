/* key=value arguments: edgekit.timing.Pace, and how the model is run. */
#pragma once
#include "answers.h"

static struct {
  int threads, runs;
  const char *kernels;
  double seconds, min_samples, max_samples, min_seconds, max_seconds, precision, warmup_seconds, stability;
} settings = {1, 1, "xnnpack", 0.5, 64, 20000, 0.5, 2.5, 0.005, 1.0, 0.02};

static void set(const char *pair) {
  struct { const char *name; double *value; } numbers[] = {
    {"seconds", &settings.seconds}, {"min_samples", &settings.min_samples}, {"max_samples", &settings.max_samples},
    {"min_seconds", &settings.min_seconds}, {"max_seconds", &settings.max_seconds}, {"precision", &settings.precision},
    {"warmup_seconds", &settings.warmup_seconds}, {"stability", &settings.stability}};
  const char *value = strchr(pair, '=');
  if (!value) FAIL("usage", "no key=value: %s", pair);
  size_t length = value++ - pair;
  if (!strncmp(pair, "threads=", 8)) settings.threads = atoi(value);
  else if (!strncmp(pair, "runs=", 5)) settings.runs = atoi(value);
  else if (!strncmp(pair, "kernels=", 8)) settings.kernels = value;
  else {
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
      if (strlen(numbers[i].name) == length && !strncmp(pair, numbers[i].name, length)) { *numbers[i].value = atof(value); return; }
    FAIL("usage", "unknown setting: %s", pair);
  }
}
