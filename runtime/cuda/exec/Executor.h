// Runs a whole program on a CUDA device.
#pragma once
#include "Call.h"
#include "Report.h"

namespace uoe::rt::cuda {

/// The table with which a program for a device is finished, `cpu` being that of its subprograms:
/// weights of operators that the device runs are not packed for the CPU.
KernelTable tableForDevice(const KernelTable &cpu);

/// As rt::Executor, on a device. Weights are copied there when first used and stay; activations
/// come from an arena; the host waits for the device for fallbacks and outputs alone. One stream.
/// A run that leaves nothing to the CPU is recorded as a CUDA graph when its shapes come a second
/// time, and replayed from then on; values that shapes are reckoned from must stay the same too.
class ModelExecutor {
public:
  /// `program` is finished with (tableForDevice(cpu), &cpu). Raises Error for a build without
  /// kernels.
  ModelExecutor(Device &device, const Program &program, const KernelTable &cpu,
                const KernelImages &images = compiledKernels());
  ~ModelExecutor();
  std::vector<Value> run(const std::vector<Value> &inputs);
  /// As of rt::Executor. With a profile every step is waited for.
  std::function<void(size_t step, int64_t nanoseconds)> profile;
  std::function<void(const Node &node, const std::vector<Value> &outputs)> observe;

  /// Whether runs are recorded and replayed.
  bool graphs = true;

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
