// Timing, and the machine's own limits to compare with.
#pragma once
#include <algorithm>
#include <chrono>
#include <cstdint>
#include <functional>
#include <random>
#include <vector>

namespace uoe::bench {

/// Seconds of one call: the smallest over repetitions that together take about `budget` seconds.
/// The smallest is the figure that other processes disturb least.
template <typename F> double seconds(F &&body, double budget = 0.25) {
  using Clock = std::chrono::steady_clock;
  auto once = [&] {
    auto start = Clock::now();
    body();
    return std::chrono::duration<double>(Clock::now() - start).count();
  };
  once();
  double best = once(), spent = best;
  for (int i = 0; i < 3 || (spent < budget && i < 100000); ++i) {
    double t = once();
    best = std::min(best, t);
    spent += t;
  }
  return best;
}

inline std::vector<float> randoms(int64_t count, unsigned seed = 1, float scale = 1.0f) {
  std::mt19937 engine(seed);
  std::uniform_real_distribution<float> value(-scale, scale);
  std::vector<float> out(static_cast<size_t>(count));
  for (float &x : out)
    x = value(engine);
  return out;
}

/// GFLOP/s of multiply-adds in registers on all threads, in the widest instruction set.
double peakGflops();
/// GB/s of reading a large array on all threads.
double readBandwidth();

void benchGemm();
void benchGemv();
void benchExperts();
void benchAttention();

} // namespace uoe::bench
