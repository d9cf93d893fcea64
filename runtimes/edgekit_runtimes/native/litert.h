/* What the runner uses of LiteRT's C API: handles are opaque, every function returns a status, 0 for success. */
#pragma once
#include <dlfcn.h>
#include "answers.h"
#include "arrays.h"

typedef void *Handle;
enum { CPU = 1, READ = 0, WRITE = 1 };
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
  X(GetNumModelSignatures, (Handle, size_t *)) X(GetModelSignature, (Handle, size_t, Handle *)) \
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

static void open_library(const char *path) {
  void *library = dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (!library) FAIL("library", "cannot load LiteRT: %s", dlerror());
#define RESOLVE(name, parameters) \
  if (!(name = (int (*) parameters)dlsym(library, "LiteRt" #name))) FAIL("library", "this LiteRT lacks LiteRt" #name);
  FUNCTIONS(RESOLVE)
}

static void add_option(Handle options, const char *identifier, const char *text) {
  Handle made;
  NEED("prepare", CreateOpaqueOptions(identifier, strdup(text), free, &made));
  NEED("prepare", AddOpaqueOptions(options, made));
}
