// Repeated measurement: latencies and memory of this process.
#pragma once
#include <cstddef>
#include <functional>
#include <vector>

namespace uoe {

/// Values in ascending order and their order statistics.
class Sample {
public:
  Sample() = default;
  explicit Sample(std::vector<double> values);
  size_t count() const { return sorted.size(); }
  /// With linear interpolation between neighbours; NaN if there are no values. 0 <= share <= 1.
  double quantile(double share) const;
  double median() const { return quantile(0.5); }
  double spread() const { return quantile(0.75) - quantile(0.25); } // the interquartile range
  double mean() const;
  double min() const { return quantile(0); }
  double max() const { return quantile(1); }

private:
  std::vector<double> sorted;
};

struct Repetition {
  int warmup = 1;     // runs that are not counted
  int runs = 10;      // counted runs at least
  double seconds = 1; // time of the counted runs together at least
  int most = 100000;  // counted runs at most
  /// Whether to run again, given what this process would do: where several run together, they do
  /// the same. Null: this process decides.
  std::function<bool(bool again)> agreed = nullptr;
};
/// Seconds of each counted run.
std::vector<double> repeat(const Repetition &repetition, const std::function<void()> &run);

/// Resident memory of this process in bytes, from /proc/self/status; 0 where that is missing.
struct Memory {
  size_t peak = 0;      // high-water mark
  size_t anonymous = 0; // now: allocated
  size_t file = 0;      // now: pages of mapped files, model weights among them
};
Memory memory();

} // namespace uoe
