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
#include <dlfcn.h>
#include <fcntl.h>
#include <glob.h>
#include <math.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

/* ---- what is used of LiteRT: handles are opaque, every function returns a status, 0 for success ---- */

typedef void *Handle;
enum { CPU = 1, MAX_RANK = 8, READ = 0, WRITE = 1, MAX_PORTS = 64 };
typedef struct { uint32_t rank; int32_t dims[MAX_RANK]; uint32_t strides[MAX_RANK]; } Layout; /* rank: 7 bits, then a flag */
typedef struct { int element; Layout layout; } TensorType;
typedef struct {
  const char *tag; int type; uint64_t start_us, elapsed_us; int64_t memory_before[3], memory_after[3]; int64_t index, index2; int source;
} Event; /* litert/c/litert_profiler_event.h */

#define FUNCTIONS(X) \
  X(CreateEnvironment, (int, const void *, Handle *)) X(CreateModelFromFile, (Handle, const char *, Handle *)) \
  X(CreateOptions, (Handle *)) X(SetOptionsHardwareAccelerators, (Handle, int)) \
  X(CreateOpaqueOptions, (const char *, void *, void (*)(void *), Handle *)) X(AddOpaqueOptions, (Handle, Handle)) \
  X(CreateCompiledModel, (Handle, Handle, Handle, Handle *)) X(DestroyCompiledModel, (Handle)) X(DestroyModel, (Handle)) \
  X(DestroyTensorBuffer, (Handle)) X(GetNumModelSignatures, (Handle, size_t *)) X(GetModelSignature, (Handle, size_t, Handle *)) \
  X(GetSignatureKey, (Handle, const char **)) X(GetSignatureSubgraph, (Handle, Handle *)) \
  X(GetNumSignatureInputs, (Handle, size_t *)) X(GetNumSignatureOutputs, (Handle, size_t *)) \
  X(GetSignatureInputName, (Handle, size_t, const char **)) X(GetSignatureOutputName, (Handle, size_t, const char **)) \
  X(GetSignatureInputTensorByIndex, (Handle, size_t, Handle *)) X(GetSignatureOutputTensorByIndex, (Handle, size_t, Handle *)) \
  X(GetRankedTensorType, (Handle, TensorType *)) X(GetNumSubgraphOps, (Handle, size_t *)) X(GetSubgraphOp, (Handle, size_t, Handle *)) \
  X(GetOpCode, (Handle, int *)) X(CompiledModelResizeInputTensor, (Handle, size_t, size_t, const int *, size_t)) \
  X(GetCompiledModelOutputTensorLayouts, (Handle, size_t, size_t, Layout *, _Bool)) \
  X(GetCompiledModelInputBufferRequirements, (Handle, size_t, size_t, Handle *)) \
  X(GetCompiledModelOutputBufferRequirements, (Handle, size_t, size_t, Handle *)) \
  X(CreateManagedTensorBufferFromRequirements, (Handle, const TensorType *, Handle, Handle *)) \
  X(GetTensorBufferPackedSize, (Handle, size_t *)) X(LockTensorBuffer, (Handle, void **, int)) X(UnlockTensorBuffer, (Handle)) \
  X(RunCompiledModel, (Handle, size_t, size_t, Handle *, size_t, Handle *)) X(CompiledModelGetProfiler, (Handle, Handle *)) \
  X(StartProfiler, (Handle)) X(StopProfiler, (Handle)) X(GetNumProfilerEvents, (Handle, int *)) X(GetProfilerEvents, (Handle, int, Event *))
#define DECLARE(name, parameters) static int (*name) parameters;
FUNCTIONS(DECLARE)

/* ---- answers ---- */

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

/* ---- clock and marks ----
 * This clock_gettime stands before the C library's for every library of this process. Outside of a counted run it passes on. In one, each
 * reading is a mark for the emulator's counter, and time is the number of marks so far, in milliseconds: what LiteRT's profiler and
 * XNNPACK's then report as an operator's start and end are the marks around it. No operator is counted by guessing. */

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

/* ---- files of named arrays: "EKT1", count; each: name length, name, element type, rank, dims (u64), bytes (u64), data ---- */

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

/* ---- settings ---- */

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

/* ---- a model, compiled and bound to buffers ---- */

typedef struct { const char *name; TensorType type; Handle buffer; size_t bytes; } Port;
typedef struct {
  const char *path;
  Handle environment, model, compiled, signature;
  size_t number, inputs, outputs;
  Port input[MAX_PORTS], output[MAX_PORTS];
  Handle in[MAX_PORTS], out[MAX_PORTS];
  int stateful;
  uint64_t batch;
} Model;

static void open_library(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) FAIL("library", "cannot load LiteRT: %s", dlerror());
#define RESOLVE(name, parameters) if (!(name = (int (*) parameters)dlsym(library, "LiteRt" #name))) FAIL("library", "this LiteRT lacks LiteRt" #name);
  FUNCTIONS(RESOLVE)
}

static void add_option(Handle options, const char *identifier, const char *text) {
  Handle made;
  NEED("prepare", CreateOpaqueOptions(identifier, strdup(text), free, &made));
  NEED("prepare", AddOpaqueOptions(options, made));
}

static void compile(Model *m, int profiling) {
  char text[128];
  Handle options;
  NEED("prepare", CreateOptions(&options));
  NEED("prepare", SetOptionsHardwareAccelerators(options, CPU));
  if (profiling) add_option(options, "runtime_options_string", "enable_profiling = true\n");
  snprintf(text, sizeof text, "kernel_mode = \"%s\"\nnum_threads = %d\n", settings.kernels, settings.threads);
  add_option(options, "xnnpack", text);
  if (CreateCompiledModel(m->environment, m->model, options, &m->compiled)) FAIL("prepare", "LiteRT cannot prepare the model to run");
}

static int is_stateful(Handle signature) {
  static const int codes[] = {16, 24, 27, 35, 44, 46, 52, 129, 142, 143, 144}; /* recurrent operators and resource variables */
  Handle subgraph, op;
  size_t count;
  int code;
  NEED("load", GetSignatureSubgraph(signature, &subgraph));
  NEED("load", GetNumSubgraphOps(subgraph, &count));
  for (size_t i = 0; i < count; i++) {
    NEED("load", GetSubgraphOp(subgraph, i, &op));
    NEED("load", GetOpCode(op, &code));
    for (size_t k = 0; k < sizeof codes / sizeof *codes; k++) if (code == codes[k]) return 1;
  }
  return 0;
}

static void describe(Model *m) {
  size_t count;
  Handle tensor;
  NEED("load", GetNumModelSignatures(m->model, &count));
  m->number = 0;
  for (size_t i = 0; i < count; i++) { /* "serving_default" if there is one, else the first */
    const char *key = "";
    Handle signature;
    NEED("load", GetModelSignature(m->model, i, &signature));
    NEED("load", GetSignatureKey(signature, &key));
    if (!strcmp(key, "serving_default")) { m->number = i; break; }
  }
  NEED("load", GetModelSignature(m->model, m->number, &m->signature));
  NEED("load", GetNumSignatureInputs(m->signature, &m->inputs));
  NEED("load", GetNumSignatureOutputs(m->signature, &m->outputs));
  if (m->inputs > MAX_PORTS || m->outputs > MAX_PORTS) FAIL("load", "more than %d inputs or outputs", MAX_PORTS);
  for (size_t i = 0; i < m->inputs; i++) {
    NEED("load", GetSignatureInputName(m->signature, i, &m->input[i].name));
    NEED("load", GetSignatureInputTensorByIndex(m->signature, i, &tensor));
    NEED("load", GetRankedTensorType(tensor, &m->input[i].type));
  }
  for (size_t i = 0; i < m->outputs; i++) {
    NEED("load", GetSignatureOutputName(m->signature, i, &m->output[i].name));
    NEED("load", GetSignatureOutputTensorByIndex(m->signature, i, &tensor));
    NEED("load", GetRankedTensorType(tensor, &m->output[i].type));
  }
  m->stateful = is_stateful(m->signature);
}

static void load(Model *m, const char *path, int profiling) {
  m->path = path;
  NEED("library", CreateEnvironment(0, NULL, &m->environment));
  if (CreateModelFromFile(m->environment, path, &m->model)) FAIL("load", "LiteRT cannot read the file");
  describe(m);
  compile(m, profiling);
}

static uint32_t rank_of(const Port *port) { return port->type.layout.rank & 0x7f; }

static Handle make_buffer(Model *m, Port *port, Handle needs) {
  port->type.layout.rank = rank_of(port);
  NEED("prepare", CreateManagedTensorBufferFromRequirements(m->environment, &port->type, needs, &port->buffer));
  NEED("prepare", GetTensorBufferPackedSize(port->buffer, &port->bytes));
  return port->buffer;
}

static const Array *given(const Arrays *arrays, const char *name) {
  for (uint32_t i = 0; i < arrays->count; i++) if (!strcmp(arrays->arrays[i].name, name)) return &arrays->arrays[i];
  return NULL;
}

/* How many samples the model takes at once: 1 where a sample is a whole input. Open dimensions become the sample's. */
static uint64_t fit(Model *m, size_t number, const Array *a) {
  Port *port = &m->input[number];
  uint32_t rank = rank_of(port), wanted = a->rank - 1, open = 0, resized[MAX_RANK] = {0};
  int whole = wanted == rank, fits = wanted + 1 == rank;
  for (uint32_t i = 0; i < rank; i++) open |= port->type.layout.dims[i] < 0;
  for (uint32_t i = 0; whole && i < rank; i++) whole = port->type.layout.dims[i] < 0 || (uint64_t)port->type.layout.dims[i] == a->dims[i + 1];
  for (uint32_t i = 1; fits && i < rank; i++) fits = port->type.layout.dims[i] < 0 || (uint64_t)port->type.layout.dims[i] == a->dims[i];
  if (!whole && !fits) {
    char shape[160] = "";
    for (uint32_t i = 1; i < rank; i++) snprintf(shape + strlen(shape), 16, "%s%d", i > 1 ? ", " : "", port->type.layout.dims[i]);
    char accepted[200];
    snprintf(accepted, sizeof accepted, "[%s] (the model's, without its batch)", shape);
    fail_with("data", accepted, "a sample of input '%s' has another shape", port->name);
  }
  for (uint32_t i = 0; i < rank; i++) {
    int32_t own = port->type.layout.dims[i];
    resized[i] = own >= 0 ? (uint32_t)own : whole ? (uint32_t)a->dims[i + 1] : i ? (uint32_t)a->dims[i] : 1;
    port->type.layout.dims[i] = resized[i];
  }
  if (open) NEED("prepare", CompiledModelResizeInputTensor(m->compiled, m->number, number, (const int *)resized, rank));
  return whole ? 0 : resized[0];
}

static void check(const Model *m, const Arrays *arrays) {
  char names[400] = "";
  for (size_t i = 0; i < m->inputs; i++) snprintf(names + strlen(names), sizeof names - strlen(names), "%s%s", i ? ", " : "", m->input[i].name);
  if (arrays->count != m->inputs) fail_with("data", names, "the model has %zu inputs, %u were given", m->inputs, arrays->count);
  for (size_t i = 0; i < m->inputs; i++) {
    const Array *a = given(arrays, m->input[i].name);
    if (!a) fail_with("data", names, "there is no data for input '%s'", m->input[i].name);
    if (a->element != (uint32_t)m->input[i].type.element) {
      char accepted[32];
      snprintf(accepted, sizeof accepted, "element type %d", m->input[i].type.element);
      fail_with("data", accepted, "input '%s' has element type %u", a->name, a->element);
    }
    if (a->dims[0] != arrays->arrays[0].dims[0]) FAIL("data", "inputs have different numbers of samples");
  }
}

static void bind(Model *m, const Arrays *arrays) {
  Layout layouts[MAX_PORTS];
  Handle needs;
  check(m, arrays);
  m->batch = 0;
  for (size_t i = 0; i < m->inputs; i++) {
    uint64_t batch = fit(m, i, given(arrays, m->input[i].name));
    if (m->batch && batch && batch != m->batch) FAIL("data", "the model's inputs disagree on the batch size");
    m->batch = batch ? batch : m->batch;
  }
  m->batch = m->batch ? m->batch : 1;
  NEED("prepare", GetCompiledModelOutputTensorLayouts(m->compiled, m->number, m->outputs, layouts, 1));
  for (size_t i = 0; i < m->inputs; i++) {
    NEED("prepare", GetCompiledModelInputBufferRequirements(m->compiled, m->number, i, &needs));
    m->in[i] = make_buffer(m, &m->input[i], needs);
    const Array *a = given(arrays, m->input[i].name);
    uint64_t expected = a->dims[0] ? a->bytes / a->dims[0] : 0;
    if (a->dims[0] && m->input[i].bytes != expected && m->input[i].bytes != expected * m->batch)
      FAIL("data", "a sample of input '%s' has %llu bytes, the model takes %zu", a->name, (unsigned long long)expected, m->input[i].bytes);
  }
  for (size_t i = 0; i < m->outputs; i++) {
    m->output[i].type.layout = layouts[i];
    NEED("prepare", GetCompiledModelOutputBufferRequirements(m->compiled, m->number, i, &needs));
    m->out[i] = make_buffer(m, &m->output[i], needs);
  }
}

/* Samples start, start + 1, ... of every input; the last one again where the batch is not full. */
static void feed(Model *m, const Arrays *arrays, uint64_t start) {
  for (size_t i = 0; i < m->inputs; i++) {
    const Array *a = given(arrays, m->input[i].name);
    uint64_t bytes = a->bytes / a->dims[0], rows = m->input[i].bytes / (bytes ? bytes : 1);
    void *to;
    NEED("run", LockTensorBuffer(m->in[i], &to, WRITE));
    for (uint64_t row = 0; row < rows; row++) {
      uint64_t from = start + row < a->dims[0] ? start + row : a->dims[0] - 1;
      memcpy((uint8_t *)to + row * bytes, a->data + from * bytes, bytes);
    }
    NEED("run", UnlockTensorBuffer(m->in[i]));
  }
}

static Model model;
static int status_of_run;
static void invoke(void) { status_of_run |= RunCompiledModel(model.compiled, model.number, model.inputs, model.in, model.outputs, model.out); }
static void idle(void) { size_t count; GetNumSignatureInputs(model.signature, &count); }
static void require_runs(void) { if (status_of_run) FAIL("run", "LiteRT failed while it ran the model (status %d)", status_of_run); }

static void fresh(const Arrays *arrays) { /* variables back to their first values: a model compiled anew */
  if (!model.stateful) return;
  for (size_t i = 0; i < model.inputs; i++) DestroyTensorBuffer(model.in[i]);
  for (size_t i = 0; i < model.outputs; i++) DestroyTensorBuffer(model.out[i]);
  DestroyCompiledModel(model.compiled);
  describe(&model);
  compile(&model, 0);
  bind(&model, arrays);
}

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
  reserve_results(results, runs);
  for (uint64_t run = 0; run < runs; run++) {
    if (run) fresh(arrays);
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

/* ---- timing: the loop of edgekit/timing.py, rule for rule ---- */

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
  Event *events = reserve((2 * (size_t)count + 1) * sizeof *events); /* room for a struct that grew, so that it is noticed and not overrun */
  NEED("profiler", GetProfilerEvents(profiler, count, events));
  for (int k = 0; k < 3; k++) if (events[count].memory_before[k]) FAIL("profiler", "LiteRT's profile has a layout this runner does not know");
  printf("\"events\": [");
  for (int i = 0; i < count; i++) {
    const Event *e = &events[i];
    if (e->type <= 0 || e->type > 1 << 8 || e->type & (e->type - 1)) FAIL("profiler", "LiteRT's profile has a layout this runner does not know");
    printf("%s[%d, %lld, %llu, %llu, ", i ? ", " : "", e->type, (long long)e->index, (unsigned long long)e->start_us, (unsigned long long)e->elapsed_us);
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
