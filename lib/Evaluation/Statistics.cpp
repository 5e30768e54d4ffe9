#include "Statistics.h"
#include <algorithm>
#include <chrono>
#include <cmath>
#include <fstream>
#include <numeric>
#include <string>

namespace uoe {

Sample::Sample(std::vector<double> values) : sorted(std::move(values)) {
  std::sort(sorted.begin(), sorted.end());
}

double Sample::quantile(double share) const {
  if (sorted.empty())
    return std::nan("");
  double at = share * static_cast<double>(sorted.size() - 1);
  size_t low = static_cast<size_t>(at), high = std::min(low + 1, sorted.size() - 1);
  return sorted[low] + (at - static_cast<double>(low)) * (sorted[high] - sorted[low]);
}

double Sample::mean() const {
  return std::accumulate(sorted.begin(), sorted.end(), 0.0) / static_cast<double>(sorted.size());
}

std::vector<double> repeat(const Repetition &repetition, const std::function<void()> &run) {
  for (int i = 0; i < repetition.warmup; ++i)
    run();
  std::vector<double> times;
  double total = 0;
  auto again = [&] {
    const int done = static_cast<int>(times.size());
    const bool own =
        done < repetition.most && (done < repetition.runs || total < repetition.seconds);
    return repetition.agreed ? repetition.agreed(own) : own;
  };
  while (again()) {
    auto begin = std::chrono::steady_clock::now();
    run();
    times.push_back(
        std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
    total += times.back();
  }
  return times;
}

Memory memory() {
  Memory result;
  std::ifstream status("/proc/self/status");
  for (std::string key, line; status >> key; std::getline(status, line)) {
    size_t *field = key == "VmHWM:"     ? &result.peak
                    : key == "RssAnon:" ? &result.anonymous
                    : key == "RssFile:" ? &result.file
                                        : nullptr;
    if (field && status >> *field)
      *field *= 1024;
  }
  return result;
}

} // namespace uoe
