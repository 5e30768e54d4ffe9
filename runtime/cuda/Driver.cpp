#include "Driver.h"
#include "runtime/core/Error.h"
#include <dlfcn.h>

#ifndef UOE_CUDA_TOOLKIT
#define UOE_CUDA_TOOLKIT 0 // the major release that compiled runtime/cuda/kernels; 0: none did
#endif

namespace uoe::rt::cuda {

namespace {

/// Why cuInit failed, and what helps.
std::string startFailure(const Driver &driver, Status status) {
  const std::string what = driver.describe(status);
  switch (status) {
  case kNoDevice:
    return "no CUDA device: the driver finds none (" + what +
           "); see what nvidia-smi lists and whether CUDA_VISIBLE_DEVICES hides it, or use "
           "--device cpu";
  case kStubLibrary:
    return "no CUDA driver: the libcuda.so.1 that was found is the toolkit's stub (" + what +
           "); take its folder out of LD_LIBRARY_PATH, or install the NVIDIA driver";
  case kDriverMismatch:
    return "the CUDA driver does not start: its kernel module and its library are of different "
           "releases (" +
           what + "); reboot after the driver's update";
  case kSystemNotReady:
    return "the CUDA driver does not start: the system is not ready (" + what +
           "); on machines with NVSwitch start nvidia-fabricmanager";
  default:
    return "the CUDA driver does not start: " + what +
           "; see whether nvidia-smi works and what the kernel's log says, or use --device cpu";
  }
}

} // namespace

int requiredVersion() {
  return UOE_CUDA_TOOLKIT > 0 ? UOE_CUDA_TOOLKIT * 1000 : 12000;
}

std::string versionText(int version) {
  return std::to_string(version / 1000) + "." + std::to_string(version % 1000 / 10);
}

std::string Driver::describe(Status status) const {
  const char *name = nullptr, *text = nullptr;
  if (call.cuGetErrorName(status, &name) != kSuccess || !name)
    name = "unknown CUDA error";
  if (call.cuGetErrorString(status, &text) != kSuccess || !text)
    text = "";
  std::string result = std::string(name) + " (" + std::to_string(status) + ")";
  return *text ? result + ": " + text : result;
}

std::shared_ptr<const Driver> Driver::load(const std::string &library) {
  std::shared_ptr<Driver> driver(new Driver());
  driver->handle = dlopen(library.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!driver->handle) {
    const char *why = dlerror();
    fail("no CUDA driver: ", library, " cannot be loaded (", why ? why : "no reason given",
         "); install the NVIDIA driver, or use --device cpu");
  }
  auto find = [&](const char *name) {
    void *symbol = dlsym(driver->handle, name);
    if (!symbol)
      fail("the CUDA driver is too old: ", library, " has no ", name,
           "; install a driver for CUDA ", versionText(requiredVersion()),
           " or newer, or use --device cpu");
    return symbol;
  };
#define UOE_CUDA_SYMBOL(name, parameters)                                                          \
  driver->call.name = reinterpret_cast<Status(*) parameters>(find(#name));
  UOE_CUDA_SYMBOLS(UOE_CUDA_SYMBOL)
#undef UOE_CUDA_SYMBOL
  if (Status status = driver->call.cuInit(0))
    fail(startFailure(*driver, status));
  if (Status status = driver->call.cuDriverGetVersion(&driver->version))
    fail(startFailure(*driver, status));
  check(driver->version >= requiredVersion(), "the CUDA driver is too old: it serves CUDA ",
        versionText(driver->version), ", needed is ", versionText(requiredVersion()),
        "; install a newer driver, or use --device cpu");
  if (Status status = driver->call.cuDeviceGetCount(&driver->devices))
    fail(startFailure(*driver, status));
  if (driver->devices < 1)
    fail(startFailure(*driver, kNoDevice));
  return driver;
}

Driver::~Driver() {
  if (handle)
    dlclose(handle);
}

} // namespace uoe::rt::cuda
