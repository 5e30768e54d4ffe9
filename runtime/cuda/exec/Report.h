// What a model's runs on a device took.
#pragma once
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>

namespace uoe::rt::cuda {

/// Since the counters were reset.
struct DeviceReport {
  int64_t runs = 0, launches = 0;      // kernels launched, those of replays included
  int64_t replays = 0;                 // runs that were replayed as a CUDA graph
  int64_t waits = 0;                   // for the device in mid-run, those of fallbacks included
  size_t uploaded = 0, downloaded = 0; // bytes, of inputs, outputs and fallbacks; not weights
  /// Operators ("MatMul", "uoe.Route") that ran on the CPU because the device has no kernel for
  /// them or for their case, and how many steps of them. Shape arithmetic is not counted.
  std::map<std::string, int64_t> fallbacks;
};

/// "of one run: 12 launches, 1 wait; on the CPU: Mod (2)".
std::string describe(const DeviceReport &report);

} // namespace uoe::rt::cuda
