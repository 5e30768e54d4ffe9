// Runs a whole program on a CUDA device.
#pragma once
#include "Call.h"
#include <set>

namespace uoe::rt::cuda {

/// What a model's runs took since the counters were reset.
struct DeviceReport {
  int64_t runs = 0, launches = 0;
  int64_t waits = 0;                   // for the device in mid-run, those of fallbacks included
  size_t uploaded = 0, downloaded = 0; // bytes, of inputs, outputs and fallbacks; not weights
  /// Operators ("MatMul", "uoe.Route") that ran on the CPU because the device has no kernel for
  /// them or for their case, and how many steps of them. Shape arithmetic is not counted.
  std::map<std::string, int64_t> fallbacks;
};

/// "of one run: 12 launches, 1 wait; on the CPU: Mod (2)".
std::string describe(const DeviceReport &report);

/// The table with which a program for a device is finished: weights of operators that the device
/// runs are not packed for the CPU.
KernelTable tableForDevice(const KernelTable &cpu);

/// As rt::Executor, on a device. Weights are copied there when first used and stay; activations
/// come from an arena; the host waits for the device for fallbacks and outputs alone. One stream.
class ModelExecutor {
public:
  /// `program` is finished with tableForDevice(cpu). Raises Error for a build without kernels.
  ModelExecutor(Device &device, const Program &program, const KernelTable &cpu,
                const KernelImages &images = compiledKernels());
  ~ModelExecutor();
  std::vector<Value> run(const std::vector<Value> &inputs);
  /// As of rt::Executor. With a profile every step is waited for.
  std::function<void(size_t step, int64_t nanoseconds)> profile;
  std::function<void(const Node &node, const std::vector<Value> &outputs)> observe;

  const DeviceReport &report() const { return counted; }
  void resetReport() { counted = {}; }
  /// Bytes of device memory that weights and activations have taken.
  size_t memory() const { return arena.bytes(); }

private:
  struct Impl;
  Device &device;
  Arena arena;
  DeviceReport counted;
  std::unique_ptr<Impl> impl;
};

} // namespace uoe::rt::cuda
