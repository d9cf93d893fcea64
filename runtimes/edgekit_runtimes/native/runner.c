/* edgekit's native runner: runs, times or counts one LiteRT model in a process of its own. C and LiteRT's C API only, no Python.
 *
 *     runner MODE LIBRARY MODEL INPUTS OUTPUTS [key=value ...]
 *
 * MODE is run (every sample once), time (one sample, again and again, by the rules of edgekit/timing.py), ops (LiteRT's own
 * per-operator profile) or count (the same and plain runs, between marks that an emulator's counter sees). LIBRARY is libLiteRt.so.
 * INPUTS and OUTPUTS are files of named arrays (tensorfile.py says how). The last line of standard output is one JSON object:
 * the figures, or {"error": {"kind", "message", "accepted"}} with exit code 3. Whatever LiteRT has to say goes to standard error.
 *
 * Keys: threads, kernels (xnnpack, builtin), runs, seconds, and those of edgekit.timing.Pace.
 */
#define _GNU_SOURCE
#include "answers.h"
#include "arrays.h"
#include "clock.h"
#include "litert.h"
#include "memory.h"
#include "model.h"
#include "settings.h"
#include "timing.h"

/* ---- plain runs ---- */

static Model model;
static int status_of_run;
static void invoke(void) {
  status_of_run |= RunCompiledModel(model.compiled, model.number, model.inputs, model.in, model.outputs, model.out);
}
static void idle(void) { size_t count; GetNumSignatureInputs(model.signature, &count); }
static void require_runs(void) { if (status_of_run) FAIL("run", "LiteRT failed while it ran the model (status %d)", status_of_run); }

static void write_outputs(FILE *file, uint8_t **results, uint64_t runs) {
  for (size_t i = 0; i < model.outputs; i++) {
    const Port *port = &model.output[i];
    uint64_t dims[MAX_RANK + 1] = {runs};
    for (uint32_t k = 0; k < rank_of(port); k++) dims[k + 1] = port->type.layout.dims[k];
    write_head(file, port->name, port->type.element, rank_of(port) + 1, dims, runs * port->bytes);
    fwrite(results[i], 1, runs * port->bytes, file);
  }
}

static void fetch(uint8_t **results, uint64_t run) {
  for (size_t i = 0; i < model.outputs; i++) {
    void *from;
    NEED("run", LockTensorBuffer(model.out[i], &from, READ));
    memcpy(results[i] + run * model.output[i].bytes, from, model.output[i].bytes);
    NEED("run", UnlockTensorBuffer(model.out[i]));
  }
}

static void reserve_results(uint8_t **results, uint64_t runs) {
  for (size_t i = 0; i < model.outputs; i++) results[i] = reserve(runs * model.output[i].bytes);
}

static void run_all(const Arrays *arrays, const char *outputs) {
  uint8_t *results[MAX_PORTS];
  uint64_t samples = arrays->count ? arrays->arrays[0].dims[0] : 0, runs = (samples + model.batch - 1) / model.batch;
  if (model.stateful) FAIL("prepare", "it keeps variables from run to run, which LiteRT's C API cannot reset");
  reserve_results(results, runs);
  for (uint64_t run = 0; run < runs; run++) {
    feed(&model, arrays, run * model.batch);
    invoke();
    require_runs();
    fetch(results, run);
  }
  FILE *file = create(outputs, model.outputs);
  write_outputs(file, results, runs);
  finish(file);
  printf("{\"batch\": %llu, \"samples\": %llu}\n", (unsigned long long)model.batch, (unsigned long long)samples);
}

/* ---- timing ---- */

static double timed_load(const char *path, const Arrays *arrays) {
  int64_t start = now_ns();
  load(&model, path, 0);
  bind(&model, arrays);
  return (now_ns() - start) / 1e6;
}

static void time_model(const char *path, const Arrays *arrays, const char *outputs) {
  int dropped = drop_from_cache(path);
  long long baseline = status_bytes("VmRSS");
  double cold = timed_load(path, arrays);
  feed(&model, arrays, 0);
  Series first = {0}, warmup = {0}, samples = {0}, nothing = {0};
  add_batch(&first, invoke, 1);
  require_runs();
  add_batch(&nothing, idle, 1000);
  int stable = warm_up(&warmup, invoke);
  int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID), wall = now_ns();
  int precise = sample(&samples, invoke, warmup.ns[warmup.count - 1]);
  double share = (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu) / (now_ns() - wall);
  require_runs();
  long long peak = status_bytes("VmHWM");
  DestroyCompiledModel(model.compiled);
  DestroyModel(model.model);
  double warm = timed_load(path, arrays);
  FILE *file = create(outputs, 3);
  const uint64_t shape[2] = {watch.count, COLUMNS}, bytes = watch.count * COLUMNS * sizeof *watch.rows;
  write_head(file, "readings", 11, 2, shape, bytes); /* element type 11: float64 */
  fwrite(watch.rows, 1, bytes, file);
  const struct { const char *name; Series *series; } kept[] = {{"warmup_ns", &warmup}, {"samples_ns", &samples}};
  for (int i = 0; i < 2; i++) {
    uint64_t count = kept[i].series->count;
    write_head(file, kept[i].name, 4, 1, &count, count * 8); /* element type 4: int64 */
    fwrite(kept[i].series->ns, 8, count, file);
  }
  finish(file);
  printf("{\"cold_load_ms\": %.6f, \"warm_load_ms\": %.6f, \"first_run_ms\": %.6f, \"cache_dropped\": %s, \"baseline_rss_bytes\": %lld, "
         "\"peak_rss_bytes\": %lld, \"overhead_ns\": %.1f, \"cpu_share\": %.6f, \"stable\": %s, \"precise\": %s}\n",
         cold, warm, first.ns[0] / 1e6, dropped ? "true" : "false", baseline, peak, median(nothing.ns, nothing.count), share,
         stable ? "true" : "false", precise ? "true" : "false");
}

/* ---- operators, and counting ---- */

static void print_events(Handle profiler) {
  int count = 0;
  NEED("profiler", GetNumProfilerEvents(profiler, &count));
  Event *events = reserve((2 * (size_t)count + 1) * sizeof *events); /* room for a struct that grew: noticed, not overrun */
  NEED("profiler", GetProfilerEvents(profiler, count, events));
  const char *unknown = "LiteRT's profile has a layout this runner does not know";
  for (int k = 0; k < 3; k++) if (events[count].memory_before[k]) FAIL("profiler", "%s", unknown);
  printf("\"events\": [");
  for (int i = 0; i < count; i++) {
    const Event *e = &events[i];
    if (e->type <= 0 || e->type > 1 << 8 || e->type & (e->type - 1)) FAIL("profiler", "%s", unknown);
    printf("%s[%d, %lld, ", i ? ", " : "", e->type, (long long)e->index);
    printf("%llu, %llu, ", (unsigned long long)e->start_us, (unsigned long long)e->elapsed_us);
    print_string(e->tag ? e->tag : "");
    putchar(']');
  }
  putchar(']');
}

static Handle profiled(const char *path, const Arrays *arrays) {
  Handle profiler = NULL;
  load(&model, path, 1);
  bind(&model, arrays);
  feed(&model, arrays, 0);
  NEED("profiler", CompiledModelGetProfiler(model.compiled, &profiler));
  if (!profiler) FAIL("profiler", "LiteRT ignored the request for a profiler");
  return profiler;
}

static void profile_ops(const char *path, const Arrays *arrays, const char *outputs) {
  Handle profiler = profiled(path, arrays);
  int64_t start = now_ns();
  for (int i = 0; i < 3; i++) invoke();
  require_runs();
  size_t runs = within(settings.seconds * 3e9 / fmax(1, now_ns() - start), 3, 500);
  NEED("profiler", StartProfiler(profiler));
  for (size_t i = 0; i < runs; i++) invoke();
  NEED("profiler", StopProfiler(profiler));
  require_runs();
  finish(create(outputs, 0));
  printf("{\"runs\": %zu, ", runs);
  print_events(profiler);
  printf("}\n");
}

static void count_runs(const char *path, const Arrays *arrays, const char *outputs) {
  uint8_t *results[MAX_PORTS];
  load(&model, path, 0);
  bind(&model, arrays);
  feed(&model, arrays, 0);
  reserve_results(results, 1);
  invoke(); /* the first run packs and plans: it does not count */
  require_runs();
  for (int i = 0; i < settings.runs; i++) {
    mark(BEGIN);
    invoke();
    mark(END);
  }
  require_runs();
  fetch(results, 0);
  FILE *file = create(outputs, model.outputs);
  write_outputs(file, results, 1);
  finish(file);
  printf("{\"batch\": %llu}\n", (unsigned long long)model.batch);
}

static void count_ops(const char *path, const Arrays *arrays, const char *outputs) {
  Handle profiler = profiled(path, arrays);
  invoke();
  require_runs();
  NEED("profiler", StartProfiler(profiler));
  mark(BEGIN);
  ticking = 1;
  invoke();
  ticking = 0;
  mark(END);
  NEED("profiler", StopProfiler(profiler));
  require_runs();
  finish(create(outputs, 0));
  printf("{\"runs\": 1, \"ticks\": %d, ", ticks);
  print_events(profiler);
  printf("}\n");
}

int main(int count, char **arguments) {
  static Arrays arrays;
  system_clock = (int (*)(clockid_t, struct timespec *))dlsym(RTLD_NEXT, "clock_gettime");
  if (count < 6) FAIL("usage", "runner MODE LIBRARY MODEL INPUTS OUTPUTS [key=value ...]");
  const char *mode = arguments[1], *path = arguments[3], *outputs = arguments[5];
  for (int i = 6; i < count; i++) set(arguments[i]);
  open_library(arguments[2]);
  read_arrays(arguments[4], &arrays);
  if (!strcmp(mode, "time")) time_model(path, &arrays, outputs);
  else if (!strcmp(mode, "ops")) profile_ops(path, &arrays, outputs);
  else if (!strcmp(mode, "count")) count_runs(path, &arrays, outputs);
  else if (!strcmp(mode, "count_ops")) count_ops(path, &arrays, outputs);
  else if (!strcmp(mode, "run")) {
    load(&model, path, 0);
    bind(&model, &arrays);
    run_all(&arrays, outputs);
  } else FAIL("usage", "unknown mode: %s", mode);
  fflush(stdout);
  _exit(0);
}
