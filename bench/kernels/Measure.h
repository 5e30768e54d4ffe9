// Timing, and the machine's own limits to compare with.
#pragma once
#include "runtime/core/ThreadPool.h"
#include <algorithm>
#include <cstdint>
#include <ctime>
#include <functional>
#include <random>
#include <vector>

namespace uoe::bench {

/// Now, in seconds. With one thread its processor time, which leaves out what other processes took.
inline double clockSeconds() {
  timespec now;
  clock_gettime(rt::ThreadPool::global().threads() == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC,
                &now);
  return double(now.tv_sec) + 1e-9 * double(now.tv_nsec);
}

/// Seconds of one call: the smallest over repetitions that together take about `budget` seconds.
/// The smallest is the figure that other processes disturb least.
template <typename F> double seconds(F &&body, double budget = 0.25) {
  auto once = [&] {
    double start = clockSeconds();
    body();
    return clockSeconds() - start;
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
void benchCascade();
void benchExperts();
void benchNeurons();
void benchAttention();

} // namespace uoe::bench
