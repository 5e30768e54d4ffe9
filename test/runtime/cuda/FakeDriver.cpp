// A libcuda.so.1 for tests on machines without a GPU: device memory is host memory, the kernels of
// runtime/cuda/dispatch/Kernels.h and runtime/cuda/ops/Kernels.h run block by block on simulated
// threads, and every function can be told to fail. UOE_FAKE_CUDA holds words:
//   cuMemAlloc_v2=2      this function returns 2
//   cuMemAlloc_v2=2@3    from its third call on
//   capability=75  version=11080  devices=0  memory=1048576
// It keeps the driver's rule that a context which failed once fails for ever, and counts what was
// not given back: `fakeCudaLive` is the number of allocations, streams, modules and contexts.
// Memory that was not written is NaN. What is put on a stream that is being captured is kept, with
// a copy of a kernel's argument, and run when the graph is launched; waiting meanwhile is refused.
#include "runtime/cuda/ops/Kernels.h"
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace {

std::mutex guard;
std::map<std::string, int> calls;
std::map<void *, size_t> allocations;
size_t inUse = 0;
int live = 0, sticky = 0;

using namespace uoe::rt::cuda;

/// A kernel by its name in the fat binaries.
struct Kernel {
  void (*run)(const HostGrid &grid, void **arguments) = nullptr;
  unsigned sharedGranted = 48 << 10;
  size_t argumentBytes = 0;
};

/// Work of a stream that was captured.
using FakeGraph = std::vector<std::function<int()>>;
FakeGraph captured;
bool capturing = false;
constexpr int kCaptureUnsupported = 900;

/// Runs `work`, or keeps it for the graph that is being captured.
int perform(std::function<int()> work) {
  if (!capturing)
    return work();
  captured.push_back(std::move(work));
  return 0;
}

std::map<std::string, Kernel> makeKernels() {
  std::map<std::string, Kernel> kernels;
#define ENTRY(full, call, Argument)                                                                \
  kernels[full].run = [](const HostGrid &grid, void **arguments) {                                 \
    call(grid, *static_cast<const Argument *>(arguments[0]));                                      \
  };                                                                                               \
  kernels[full].argumentBytes = sizeof(Argument);
#define DISPATCH(name, function, threads) ENTRY("uoe_" #name, function, Dispatch)
#define ROUTER(name, function, threads)                                                            \
  ENTRY("uoe_" #name "_f32", function, ExpertCall<float>)                                          \
  ENTRY("uoe_" #name "_bf16", function, ExpertCall<BF16>)                                          \
  ENTRY("uoe_" #name "_f16", function, ExpertCall<F16>)
#define EXPERT(name, function, threads)                                                            \
  ROUTER(name, function, threads)                                                                  \
  ENTRY("uoe_" #name "_f32_bf16", function, ExpertsWithBF16)                                       \
  ENTRY("uoe_" #name "_f32_f16", function, ExpertsWithF16)
  UOE_DISPATCH_KERNELS(DISPATCH)
  UOE_ROUTER_KERNELS(ROUTER)
  UOE_EXPERT_KERNELS(EXPERT)
#define MODEL(name, function, Argument, threads)                                                   \
  ENTRY(                                                                                           \
      "uoe_" #name, [](auto &g, auto &c) { function(g, c); }, Argument)
  UOE_MODEL_KERNELS(MODEL)
  kernels["nothing"]; // for tests of launches alone
  return kernels;
}

std::map<std::string, Kernel> kernels = makeKernels();

/// The number after `key=` in UOE_FAKE_CUDA, and what follows an '@'.
bool setting(const char *key, long &value, long &from) {
  const char *text = std::getenv("UOE_FAKE_CUDA");
  const size_t length = std::strlen(key);
  while (text && *text) {
    if (std::strncmp(text, key, length) == 0 && text[length] == '=') {
      char *end = nullptr;
      value = std::strtol(text + length + 1, &end, 10);
      from = *end == '@' ? std::strtol(end + 1, nullptr, 10) : 1;
      return true;
    }
    text = std::strchr(text, ' ');
    text = text ? text + 1 : nullptr;
  }
  return false;
}

long option(const char *key, long otherwise) {
  long value = otherwise, from = 0;
  setting(key, value, from);
  return value;
}

/// What this call of `name` is to return.
int status(const char *name) {
  long value = 0, from = 1;
  const int count = ++calls[name];
  if (setting(name, value, from) && count >= from) {
    if (value >= 700 && value < 720 && value != 701)
      sticky = static_cast<int>(value);
    return static_cast<int>(value);
  }
  return 0;
}

/// The same for functions that need a working context.
int contextStatus(const char *name) {
  int own = status(name);
  return sticky ? sticky : own;
}

} // namespace

#define ENTER()                                                                                    \
  std::lock_guard<std::mutex> lock(guard);                                                         \
  if (int failed = status(__func__))                                                               \
    return failed;
#define ENTER_CONTEXT()                                                                            \
  std::lock_guard<std::mutex> lock(guard);                                                         \
  if (int failed = contextStatus(__func__))                                                        \
    return failed;

extern "C" {

int fakeCudaLive() {
  return live;
}
int fakeCudaCalls(const char *name) {
  return calls[name];
}
void fakeCudaReset() {
  calls.clear();
  sticky = 0;
}

int cuInit(unsigned) {
  ENTER();
  return 0;
}
int cuDriverGetVersion(int *version) {
  ENTER();
  *version = static_cast<int>(option("version", 13000));
  return 0;
}
int cuGetErrorName(int status, const char **name) {
  *name = status == 2     ? "CUDA_ERROR_OUT_OF_MEMORY"
          : status == 100 ? "CUDA_ERROR_NO_DEVICE"
          : status == 209 ? "CUDA_ERROR_NO_BINARY_FOR_GPU"
          : status == 700 ? "CUDA_ERROR_ILLEGAL_ADDRESS"
                          : nullptr;
  return *name ? 0 : 1;
}
int cuGetErrorString(int status, const char **text) {
  *text = status == 2 ? "out of memory" : nullptr;
  return *text ? 0 : 1;
}
int cuDeviceGetCount(int *count) {
  ENTER();
  *count = static_cast<int>(option("devices", 1));
  return 0;
}
int cuDeviceGet(int *device, int ordinal) {
  ENTER();
  *device = ordinal;
  return 0;
}
int cuDeviceGetName(char *name, int size, int) {
  ENTER();
  std::strncpy(name, "Fake GPU", static_cast<size_t>(size));
  return 0;
}
int cuDeviceGetAttribute(int *value, int attribute, int) {
  ENTER();
  const long capability = option("capability", 90);
  *value = static_cast<int>(attribute == 75   ? capability / 10
                            : attribute == 76 ? capability % 10
                                              : 4);
  return 0;
}
int cuDeviceTotalMem_v2(size_t *bytes, int) {
  ENTER();
  *bytes = static_cast<size_t>(option("memory", 1 << 30));
  return 0;
}
int cuDevicePrimaryCtxRetain(void **context, int) {
  ENTER();
  *context = &live;
  ++live;
  return 0;
}
int cuDevicePrimaryCtxRelease_v2(int) {
  ENTER();
  --live;
  return 0;
}
int cuCtxSetCurrent(void *) {
  ENTER();
  return 0;
}
int cuMemGetInfo_v2(size_t *free, size_t *total) {
  ENTER_CONTEXT();
  *total = static_cast<size_t>(option("memory", 1 << 30));
  *free = *total - inUse;
  return 0;
}
int cuMemAlloc_v2(unsigned long long *pointer, size_t bytes) {
  ENTER_CONTEXT();
  if (bytes == 0)
    return 1;
  if (inUse + bytes > static_cast<size_t>(option("memory", 1 << 30)))
    return 2;
  void *memory = std::malloc(bytes);
  std::memset(memory, 0xff, bytes);
  allocations[memory] = bytes;
  inUse += bytes;
  ++live;
  *pointer = reinterpret_cast<uintptr_t>(memory);
  return 0;
}
int cuMemFree_v2(unsigned long long pointer) {
  std::lock_guard<std::mutex> lock(guard);
  const int failed = contextStatus("cuMemFree_v2");
  auto found = allocations.find(reinterpret_cast<void *>(pointer));
  if (found == allocations.end())
    return 1;
  inUse -= found->second;
  --live;
  std::free(found->first);
  allocations.erase(found);
  return failed;
}
int cuMemcpyHtoDAsync_v2(unsigned long long to, const void *from, size_t bytes, void *) {
  ENTER_CONTEXT();
  return perform([=] { return std::memcpy(reinterpret_cast<void *>(to), from, bytes), 0; });
}
int cuMemcpyDtoHAsync_v2(void *to, unsigned long long from, size_t bytes, void *) {
  ENTER_CONTEXT();
  return perform([=] { return std::memcpy(to, reinterpret_cast<const void *>(from), bytes), 0; });
}
int cuMemcpyDtoDAsync_v2(unsigned long long to, unsigned long long from, size_t bytes, void *) {
  ENTER_CONTEXT();
  return perform([=] {
    std::memcpy(reinterpret_cast<void *>(to), reinterpret_cast<const void *>(from), bytes);
    return 0;
  });
}
int cuMemsetD8Async(unsigned long long to, unsigned char value, size_t bytes, void *) {
  ENTER_CONTEXT();
  return perform([=] { return std::memset(reinterpret_cast<void *>(to), value, bytes), 0; });
}
int cuStreamCreate(void **stream, unsigned) {
  ENTER_CONTEXT();
  *stream = &calls;
  ++live;
  return 0;
}
int cuStreamSynchronize(void *) {
  ENTER_CONTEXT();
  return capturing ? kCaptureUnsupported : 0;
}
int cuStreamBeginCapture_v2(void *, int) {
  ENTER_CONTEXT();
  if (capturing)
    return 1;
  capturing = true;
  captured.clear();
  return 0;
}
int cuStreamEndCapture(void *, void **graph) {
  std::lock_guard<std::mutex> lock(guard);
  const bool was = capturing;
  capturing = false;
  if (const int failed = contextStatus("cuStreamEndCapture"))
    return failed;
  if (!was)
    return 1;
  *graph = new FakeGraph(std::move(captured));
  ++live;
  return 0;
}
int cuGraphInstantiateWithFlags(void **exec, void *graph, unsigned long long) {
  ENTER_CONTEXT();
  *exec = new FakeGraph(*static_cast<FakeGraph *>(graph));
  ++live;
  return 0;
}
int cuGraphLaunch(void *exec, void *) {
  ENTER_CONTEXT();
  for (const auto &work : *static_cast<FakeGraph *>(exec))
    if (const int failed = work())
      return failed;
  return 0;
}
int cuGraphExecDestroy(void *exec) {
  std::lock_guard<std::mutex> lock(guard);
  --live;
  delete static_cast<FakeGraph *>(exec);
  return contextStatus("cuGraphExecDestroy");
}
int cuGraphDestroy(void *graph) {
  std::lock_guard<std::mutex> lock(guard);
  --live;
  delete static_cast<FakeGraph *>(graph);
  return contextStatus("cuGraphDestroy");
}
int cuStreamDestroy_v2(void *) {
  std::lock_guard<std::mutex> lock(guard);
  --live;
  return contextStatus("cuStreamDestroy_v2");
}
int cuEventCreate(void **event, unsigned) {
  ENTER_CONTEXT();
  *event = &inUse;
  ++live;
  return 0;
}
int cuEventRecord(void *, void *) {
  ENTER_CONTEXT();
  return 0;
}
int cuEventSynchronize(void *) {
  ENTER_CONTEXT();
  return 0;
}
int cuEventElapsedTime(float *milliseconds, void *, void *) {
  ENTER_CONTEXT();
  *milliseconds = 1;
  return 0;
}
int cuEventDestroy_v2(void *) {
  std::lock_guard<std::mutex> lock(guard);
  --live;
  return contextStatus("cuEventDestroy_v2");
}
int cuModuleLoadData(void **module, const void *) {
  ENTER_CONTEXT();
  *module = &sticky;
  ++live;
  return 0;
}
int cuModuleUnload(void *) {
  std::lock_guard<std::mutex> lock(guard);
  --live;
  return contextStatus("cuModuleUnload");
}
int cuModuleGetFunction(void **function, void *, const char *name) {
  ENTER_CONTEXT();
  auto found = kernels.find(name);
  if (found == kernels.end())
    return 500;
  *function = &found->second;
  return 0;
}
int cuFuncSetAttribute(void *function, int attribute, int value) {
  ENTER_CONTEXT();
  if (attribute == 8)
    static_cast<Kernel *>(function)->sharedGranted = static_cast<unsigned>(value);
  return value <= 227 << 10 ? 0 : 1;
}
int cuLaunchKernel(void *function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                   unsigned blockY, unsigned blockZ, unsigned sharedBytes, void *, void **arguments,
                   void **) {
  ENTER_CONTEXT();
  const Kernel &kernel = *static_cast<Kernel *>(function);
  if (!gridX || !gridY || !gridZ || !blockX || !blockY || !blockZ || gridY > 65535 ||
      blockX * blockY * blockZ > 1024 || sharedBytes > kernel.sharedGranted)
    return 1;
  if (!kernel.run)
    return 0;
  const auto *bytes = static_cast<const unsigned char *>(arguments[0]);
  std::vector<unsigned char> copy(bytes, bytes + kernel.argumentBytes);
  return perform([=, argument = std::move(copy)]() mutable {
    void *own[] = {argument.data()};
    for (unsigned y = 0; y < gridY; ++y)
      for (unsigned x = 0; x < gridX; ++x) {
        void *shared = std::aligned_alloc(16, (sharedBytes + 15) / 16 * 16);
        if (sharedBytes > 0)
          std::memset(shared, 0xff, sharedBytes);
        kernel.run(HostGrid(int(x), int(y), int(gridX), int(blockX), shared), own);
        std::free(shared);
      }
    return 0;
  });
}

} // extern "C"
