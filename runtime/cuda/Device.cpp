#include "Device.h"
#include "runtime/core/Error.h"
#include <array>

namespace uoe::rt::cuda {

namespace {

constexpr int kMultiprocessorCount = 16, kCapabilityMajor = 75, kCapabilityMinor = 76;
constexpr int kMaxDynamicShared = 8;
constexpr unsigned kNonBlocking = 1;
/// Calls of this thread that are no part of the stream, say to allocate, go on during a capture.
constexpr int kCaptureRelaxed = 2;

/// The context is gone: nothing on the device can be read or run any more.
bool isFatal(Status status) {
  switch (status) {
  case kDeviceUnavailable:
  case kEccUncorrectable:
  case 220: // uncorrectable error of NVLink
  case 226: // contained memory error
  case kIllegalAddress:
  case kLaunchTimeout:
  case 710: // assertion in a kernel
  case 714: // hardware stack error
  case 715: // illegal instruction
  case 716: // misaligned address
  case 717: // invalid address space
  case 718: // invalid program counter
  case kLaunchFailed:
    return true;
  default:
    return false;
  }
}

} // namespace

std::string Device::explain(Status status, const std::string &what) const {
  const std::string error = loaded->describe(status);
  const std::string where = "CUDA device " + std::to_string(ordinal) +
                            (deviceName.empty() ? "" : " (" + deviceName + ")");
  switch (status) {
  case kOutOfMemory: {
    size_t free = 0, total = 0;
    std::string left;
    if (context && loaded->call.cuMemGetInfo_v2(&free, &total) == kSuccess)
      left = "; " + std::to_string(free >> 20) + " MiB of " + std::to_string(total >> 20) +
             " MiB are free";
    return where + " is out of memory: " + what + " (" + error + ")" + left +
           "; take a smaller batch or a shorter sequence, end other programs on the device, or use "
           "--device cpu";
  }
  case kNoBinaryForGpu:
  case kUnsupportedPtxVersion:
  case kInvalidPtx:
    return where + ", compute capability " + std::to_string(computeCapability / 10) + "." +
           std::to_string(computeCapability % 10) + ", cannot run this code: " + what + " (" +
           error + "); the driver serves CUDA " + versionText(loaded->version) +
           ": install a newer one, or build for this device with -DUOE_CUDA_ARCHITECTURES=...";
  case kLaunchOutOfResources:
    return where + " has not the registers or the shared memory: " + what + " (" + error + ")";
  case kDeviceUnavailable:
    return where + " cannot be used: " + what + " (" + error +
           "); another process may hold it alone (nvidia-smi shows the compute mode)";
  default:
    if (isFatal(status))
      return where + " was lost: " + what + " (" + error +
             "); its memory is gone. Run again; if it comes back, look for Xid in the kernel's log "
             "(dmesg) and report it, or use --device cpu";
    return where + ": " + what + " failed: " + error;
  }
}

void Device::require(Status status, const std::string &what) {
  if (lost())
    throw Error(lostBecause);
  if (status == kSuccess)
    return;
  std::string message = explain(status, what);
  if (isFatal(status))
    lostBecause = message;
  throw Error(message);
}

Device::Device(std::shared_ptr<const Driver> driver, int ordinal)
    : loaded(std::move(driver)), ordinal(ordinal) {
  const Symbols &call = loaded->call;
  check(ordinal >= 0 && ordinal < loaded->devices, "no CUDA device ", ordinal,
        ": the driver finds ", loaded->devices, "; see nvidia-smi and CUDA_VISIBLE_DEVICES");
  require(call.cuDeviceGet(&id, ordinal), "opening the device");
  std::array<char, 256> text{};
  require(call.cuDeviceGetName(text.data(), static_cast<int>(text.size()) - 1, id),
          "asking for its name");
  deviceName = text.data();
  int major = 0, minor = 0;
  require(call.cuDeviceGetAttribute(&major, kCapabilityMajor, id), "asking for its capability");
  require(call.cuDeviceGetAttribute(&minor, kCapabilityMinor, id), "asking for its capability");
  computeCapability = 10 * major + minor;
  check(computeCapability >= 80, "CUDA device ", ordinal, " (", deviceName,
        ") is too old: its compute capability is ", major, ".", minor,
        ", needed is 8.0 or higher; choose another by CUDA_VISIBLE_DEVICES, or use --device cpu");
  require(call.cuDeviceGetAttribute(&multiprocessors, kMultiprocessorCount, id),
          "counting its multiprocessors");
  require(call.cuDeviceTotalMem_v2(&totalMemory, id), "asking for its memory");
  require(call.cuDevicePrimaryCtxRetain(&context, id), "making a context");
  try {
    require(call.cuCtxSetCurrent(context), "entering the context");
    require(call.cuStreamCreate(&workStream, kNonBlocking), "making a stream");
  } catch (...) {
    call.cuDevicePrimaryCtxRelease_v2(id);
    throw;
  }
}

// Nothing is left to be told of failures here, and a lost context fails in all of it.
Device::~Device() {
  const Symbols &call = loaded->call;
  if (workStream) {
    call.cuStreamSynchronize(workStream);
    call.cuStreamDestroy_v2(workStream);
  }
  for (Module module : modules)
    call.cuModuleUnload(module);
  if (context)
    call.cuDevicePrimaryCtxRelease_v2(id);
}

void Device::upload(const Buffer &to, const void *from, size_t bytes, const std::string &what) {
  check(bytes <= to.bytes(), what, ": ", bytes, " bytes into a buffer of ", to.bytes());
  if (bytes > 0)
    require(loaded->call.cuMemcpyHtoDAsync_v2(to.pointer(), from, bytes, workStream),
            "copying " + what + " to the device");
}

void Device::download(void *to, const Buffer &from, size_t bytes, const std::string &what) {
  check(bytes <= from.bytes(), what, ": ", bytes, " bytes of a buffer of ", from.bytes());
  if (bytes > 0)
    require(loaded->call.cuMemcpyDtoHAsync_v2(to, from.pointer(), bytes, workStream),
            "copying " + what + " from the device");
  synchronize("copying " + what + " from the device");
}

void Device::copy(const Buffer &to, const Buffer &from, size_t bytes) {
  check(bytes <= from.bytes() && bytes <= to.bytes(), "copying ", bytes,
        " bytes between buffers of ", from.bytes(), " and ", to.bytes());
  if (bytes > 0)
    require(loaded->call.cuMemcpyDtoDAsync_v2(to.pointer(), from.pointer(), bytes, workStream),
            "copying memory");
}

double Device::seconds(const std::function<void()> &work, const std::string &what) {
  const Symbols &call = loaded->call;
  struct Events {
    const Symbols &call;
    Event begin = nullptr, end = nullptr;
    ~Events() {
      for (Event event : {begin, end})
        if (event)
          call.cuEventDestroy_v2(event);
    }
  } events{call};
  require(call.cuEventCreate(&events.begin, 0), "making an event");
  require(call.cuEventCreate(&events.end, 0), "making an event");
  require(call.cuEventRecord(events.begin, workStream), "recording an event");
  work();
  require(call.cuEventRecord(events.end, workStream), "recording an event");
  require(call.cuEventSynchronize(events.end), what);
  float milliseconds = 0;
  require(call.cuEventElapsedTime(&milliseconds, events.begin, events.end), what);
  return 1e-3 * milliseconds;
}

void Device::clear(const Buffer &buffer) {
  if (buffer.bytes() > 0)
    require(loaded->call.cuMemsetD8Async(buffer.pointer(), 0, buffer.bytes(), workStream),
            "clearing memory");
}

Recording Device::capture(const std::function<void()> &work, const std::string &what) {
  const Symbols &call = loaded->call;
  require(call.cuStreamBeginCapture_v2(workStream, kCaptureRelaxed), "recording " + what);
  recording = true;
  Graph graph = nullptr;
  auto end = [&] {
    recording = false;
    return call.cuStreamEndCapture(workStream, &graph);
  };
  try {
    work();
  } catch (...) {
    if (end() == kSuccess && graph)
      call.cuGraphDestroy(graph);
    throw;
  }
  require(end(), "recording " + what);
  Recording made;
  made.device = this;
  const Status status = call.cuGraphInstantiateWithFlags(&made.exec, graph, 0);
  call.cuGraphDestroy(graph);
  require(status, "preparing " + what);
  return made;
}

Recording::Recording(Recording &&other) noexcept {
  *this = std::move(other);
}

Recording &Recording::operator=(Recording &&other) noexcept {
  std::swap(device, other.device);
  std::swap(exec, other.exec);
  return *this;
}

// The driver keeps what is on its way until it is done.
Recording::~Recording() {
  if (exec)
    device->loaded->call.cuGraphExecDestroy(exec);
}

void Recording::replay() {
  device->require(device->loaded->call.cuGraphLaunch(exec, device->workStream),
                  "replaying a recorded run");
}

void Device::synchronize(const std::string &what) {
  check(!recording, what, ": a recorded run cannot wait for the device");
  require(loaded->call.cuStreamSynchronize(workStream), what);
}

Module Device::load(const void *image, const std::string &what) {
  Module module = nullptr;
  require(loaded->call.cuModuleLoadData(&module, image), "loading " + what);
  modules.push_back(module);
  return module;
}

Function Device::function(Module module, const std::string &name) {
  Function function = nullptr;
  require(loaded->call.cuModuleGetFunction(&function, module, name.c_str()),
          "finding kernel " + name);
  return function;
}

void Device::allowShared(Function function, unsigned bytes, const std::string &what) {
  require(loaded->call.cuFuncSetAttribute(function, kMaxDynamicShared, static_cast<int>(bytes)),
          "granting " + std::to_string(bytes) + " bytes of shared memory to " + what);
}

void Device::launch(Function function, Grid grid, Grid block, unsigned sharedBytes,
                    void **arguments, const std::string &what) {
  if (grid.x == 0 || grid.y == 0 || grid.z == 0)
    return; // the driver refuses what has nothing to do
  require(loaded->call.cuLaunchKernel(function, grid.x, grid.y, grid.z, block.x, block.y, block.z,
                                      sharedBytes, workStream, arguments, nullptr),
          "launching " + what);
}

Buffer::Buffer(Device &device, size_t bytes, const std::string &what)
    : device(&device), size(bytes) {
  if (bytes > 0)
    device.require(device.driver().call.cuMemAlloc_v2(&address, bytes),
                   std::to_string(bytes) + " bytes for " + what);
}

Buffer::Buffer(Buffer &&other) noexcept {
  *this = std::move(other);
}

Buffer &Buffer::operator=(Buffer &&other) noexcept {
  std::swap(device, other.device);
  std::swap(address, other.address);
  std::swap(size, other.size);
  return *this;
}

Buffer::~Buffer() {
  if (address)
    device->driver().call.cuMemFree_v2(address);
}

} // namespace uoe::rt::cuda
