/* A model, compiled and bound to buffers. */
#pragma once
#include "arrays.h"
#include "litert.h"
#include "settings.h"

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
  static const int codes[] = {129, 142, 143, 144}; /* CALL_ONCE and resource variables; LiteRT refuses variable tensors by itself */
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
  const int32_t *own = port->type.layout.dims;
  for (uint32_t i = 0; whole && i < rank; i++) whole = own[i] < 0 || (uint64_t)own[i] == a->dims[i + 1];
  for (uint32_t i = 1; fits && i < rank; i++) fits = own[i] < 0 || (uint64_t)own[i] == a->dims[i];
  if (!whole && !fits) {
    char shape[160] = "";
    for (uint32_t i = 1; i < rank; i++) snprintf(shape + strlen(shape), 16, "%s%d", i > 1 ? ", " : "", port->type.layout.dims[i]);
    char accepted[200];
    snprintf(accepted, sizeof accepted, "[%s] (the model's, without its batch)", shape);
    fail_with("data", accepted, "a sample of input '%s' has another shape", port->name);
  }
  for (uint32_t i = 0; i < rank; i++) {
    resized[i] = own[i] >= 0 ? (uint32_t)own[i] : whole ? (uint32_t)a->dims[i + 1] : i ? (uint32_t)a->dims[i] : 1;
    port->type.layout.dims[i] = resized[i];
  }
  if (open) NEED("prepare", CompiledModelResizeInputTensor(m->compiled, m->number, number, (const int *)resized, rank));
  return whole ? 0 : resized[0];
}

static void check(const Model *m, const Arrays *arrays) {
  char names[400] = "";
  for (size_t i = 0, at = 0; i < m->inputs; i++, at = strlen(names))
    snprintf(names + at, sizeof names - at, "%s%s", i ? ", " : "", m->input[i].name);
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
