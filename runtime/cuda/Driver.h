// The CUDA driver (libcuda.so.1) behind a table of symbols, loaded when first asked for. No toolkit
// and no header of NVIDIA's is needed to build this; test/runtime/cuda compares the signatures with
// cuda.h where there is one.
#pragma once
#include <cstddef>
#include <memory>
#include <string>

namespace uoe::rt::cuda {

// The driver's types, named as here; handles are opaque pointers.
using Status = int;                 // CUresult
using DeviceId = int;               // CUdevice
using Pointer = unsigned long long; // CUdeviceptr
using Context = void *;
using Stream = void *;
using Event = void *;
using Module = void *;
using Function = void *;
using Graph = void *;
using GraphExec = void *;

/// X(name as exported, parameters).
#define UOE_CUDA_SYMBOLS(X)                                                                        \
  X(cuInit, (unsigned flags))                                                                      \
  X(cuDriverGetVersion, (int *version))                                                            \
  X(cuGetErrorName, (Status status, const char **name))                                            \
  X(cuGetErrorString, (Status status, const char **text))                                          \
  X(cuDeviceGetCount, (int *count))                                                                \
  X(cuDeviceGet, (DeviceId * device, int ordinal))                                                 \
  X(cuDeviceGetName, (char *name, int size, DeviceId device))                                      \
  X(cuDeviceGetAttribute, (int *value, int attribute, DeviceId device))                            \
  X(cuDeviceTotalMem_v2, (size_t * bytes, DeviceId device))                                        \
  X(cuDevicePrimaryCtxRetain, (Context * context, DeviceId device))                                \
  X(cuDevicePrimaryCtxRelease_v2, (DeviceId device))                                               \
  X(cuCtxSetCurrent, (Context context))                                                            \
  X(cuMemGetInfo_v2, (size_t * free, size_t * total))                                              \
  X(cuMemAlloc_v2, (Pointer * pointer, size_t bytes))                                              \
  X(cuMemFree_v2, (Pointer pointer))                                                               \
  X(cuMemcpyHtoDAsync_v2, (Pointer to, const void *from, size_t bytes, Stream stream))             \
  X(cuMemcpyDtoHAsync_v2, (void *to, Pointer from, size_t bytes, Stream stream))                   \
  X(cuMemcpyDtoDAsync_v2, (Pointer to, Pointer from, size_t bytes, Stream stream))                 \
  X(cuMemsetD8Async, (Pointer to, unsigned char value, size_t bytes, Stream stream))               \
  X(cuStreamCreate, (Stream * stream, unsigned flags))                                             \
  X(cuStreamSynchronize, (Stream stream))                                                          \
  X(cuStreamDestroy_v2, (Stream stream))                                                           \
  X(cuStreamBeginCapture_v2, (Stream stream, int mode))                                            \
  X(cuStreamEndCapture, (Stream stream, Graph * graph))                                            \
  X(cuGraphInstantiateWithFlags, (GraphExec * exec, Graph graph, unsigned long long flags))        \
  X(cuGraphLaunch, (GraphExec exec, Stream stream))                                                \
  X(cuGraphExecDestroy, (GraphExec exec))                                                          \
  X(cuGraphDestroy, (Graph graph))                                                                 \
  X(cuEventCreate, (Event * event, unsigned flags))                                                \
  X(cuEventRecord, (Event event, Stream stream))                                                   \
  X(cuEventSynchronize, (Event event))                                                             \
  X(cuEventElapsedTime, (float *milliseconds, Event begin, Event end))                             \
  X(cuEventDestroy_v2, (Event event))                                                              \
  X(cuModuleLoadData, (Module * module, const void *image))                                        \
  X(cuModuleUnload, (Module module))                                                               \
  X(cuModuleGetFunction, (Function * function, Module module, const char *name))                   \
  X(cuFuncSetAttribute, (Function function, int attribute, int value))                             \
  X(cuLaunchKernel, (Function function, unsigned gridX, unsigned gridY, unsigned gridZ,            \
                     unsigned blockX, unsigned blockY, unsigned blockZ, unsigned sharedBytes,      \
                     Stream stream, void **arguments, void **extra))

struct Symbols {
#define UOE_CUDA_SYMBOL(name, parameters) Status(*name) parameters = nullptr;
  UOE_CUDA_SYMBOLS(UOE_CUDA_SYMBOL)
#undef UOE_CUDA_SYMBOL
};

/// The driver's CUDA version, 1000 * major + 10 * minor, below which it is refused: that of the
/// toolkit's major release where kernels were compiled, else the one that reads the generated PTX.
int requiredVersion();

/// A loaded and initialised driver. Stays loaded while anything refers to it.
class Driver {
public:
  /// Raises Error that names cause and remedy: no library, one that is too old or only the
  /// toolkit's stub, a driver that does not start or that finds no device.
  static std::shared_ptr<const Driver> load(const std::string &library = "libcuda.so.1");
  ~Driver();
  Driver(const Driver &) = delete;
  Driver &operator=(const Driver &) = delete;

  Symbols call;
  int version = 0; // 13000 is CUDA 13.0
  int devices = 0;

  /// "CUDA_ERROR_OUT_OF_MEMORY (2): out of memory".
  std::string describe(Status status) const;

private:
  Driver() = default;
  void *handle = nullptr;
};

/// "13.0" of 13000.
std::string versionText(int version);

// Statuses that are told apart, with the driver's numbers.
inline constexpr Status kSuccess = 0;
inline constexpr Status kOutOfMemory = 2;
inline constexpr Status kStubLibrary = 34;
inline constexpr Status kDeviceUnavailable = 46;
inline constexpr Status kNoDevice = 100;
inline constexpr Status kNoBinaryForGpu = 209;
inline constexpr Status kEccUncorrectable = 214;
inline constexpr Status kInvalidPtx = 218;
inline constexpr Status kUnsupportedPtxVersion = 222;
inline constexpr Status kNotFound = 500;
inline constexpr Status kIllegalAddress = 700;
inline constexpr Status kLaunchOutOfResources = 701;
inline constexpr Status kLaunchTimeout = 702;
inline constexpr Status kLaunchFailed = 719;
inline constexpr Status kSystemNotReady = 802;
inline constexpr Status kDriverMismatch = 803;

} // namespace uoe::rt::cuda
