// Threads that work together, a warp or a block, as the programs in this folder see them: phases
// with a barrier after each, and operations over all threads. On the device a thread runs its own
// part; on the host one loop runs all of them, so that a kernel's very source is tested on a CPU.
//
// A program is written against these members of Team:
//   width()          threads
//   each(f)          f(thread) on every thread, then a barrier
//   sum(f), add(f), highest(f), greatest(f), ballot(f)      over f(thread); 32 threads
//   Registers<T>     one T per thread that lives across phases; r[thread]
// What a phase writes to shared or global memory another thread may read from the next phase on.
#pragma once
#include "HostDevice.h"
#include <vector>

namespace uoe::rt::cuda {

/// All threads in one; the order in which they run changes from phase to phase, so that a missing
/// barrier shows.
class HostTeam {
public:
  explicit HostTeam(int width = 32) : threads(width) {}
  int width() const { return threads; }

  template <typename F> void each(F &&f) {
    ++phase;
    for (int i = 0; i < threads; ++i)
      f(phase % 3 == 0   ? i
        : phase % 3 == 1 ? threads - 1 - i
        : threads % 2    ? i * 2 % threads
                         : (i * 2 + i * 2 / threads) % threads);
  }
  template <typename F> uint32_t sum(F &&f) {
    uint32_t total = 0;
    each([&](int i) { total += f(i); });
    return total;
  }
  /// In the order of a butterfly, as the warp adds.
  template <typename F> float add(F &&f) {
    std::vector<float> part(static_cast<size_t>(threads));
    each([&](int i) { part[size_t(i)] = f(i); });
    for (int step = threads / 2; step > 0; step /= 2) {
      std::vector<float> next(part);
      for (int i = 0; i < threads; ++i)
        next[size_t(i)] = part[size_t(i)] + part[size_t(i ^ step)];
      part = next;
    }
    return part[0];
  }
  template <typename F> uint64_t highest(F &&f) {
    uint64_t found = 0;
    each([&](int i) { found = most(found, f(i)); });
    return found;
  }
  /// Of floats; NaN counts only if there is nothing else.
  template <typename F> float greatest(F &&f) {
    float found = f(0);
    each([&](int i) { found = std::fmax(found, f(i)); });
    return found;
  }
  template <typename F> uint32_t ballot(F &&f) {
    uint32_t bits = 0;
    each([&](int i) { bits |= uint32_t(bool(f(i))) << i; });
    return bits;
  }

  template <typename T> class Registers {
  public:
    explicit Registers(const HostTeam &team) : all(size_t(team.threads)) {}
    T &operator[](int thread) { return all[size_t(thread)]; }

  private:
    std::vector<T> all;
  };

private:
  int threads;
  unsigned phase = 0;
};

#ifdef __CUDACC__
template <typename T> class OwnRegisters {
public:
  template <typename Team> __device__ explicit OwnRegisters(const Team &) {}
  __device__ T &operator[](int) { return own; }

private:
  T own;
};

class WarpTeam {
public:
  __device__ int width() const { return 32; }
  __device__ int thread() const { return static_cast<int>(threadIdx.x % 32); }
  template <typename F> __device__ void each(F &&f) {
    f(thread());
    __syncwarp();
  }
  template <typename F> __device__ uint32_t sum(F &&f) {
    return __reduce_add_sync(~0u, static_cast<uint32_t>(f(thread())));
  }
  template <typename F> __device__ float add(F &&f) {
    float value = f(thread());
    for (int step = 16; step > 0; step /= 2)
      value += __shfl_xor_sync(~0u, value, step);
    return value;
  }
  template <typename F> __device__ uint64_t highest(F &&f) {
    unsigned long long value = f(thread());
    for (int step = 16; step > 0; step /= 2)
      value = most(value, __shfl_xor_sync(~0u, value, step));
    return value;
  }
  template <typename F> __device__ float greatest(F &&f) {
    float value = f(thread());
    for (int step = 16; step > 0; step /= 2)
      value = fmaxf(value, __shfl_xor_sync(~0u, value, step));
    return value;
  }
  template <typename F> __device__ uint32_t ballot(F &&f) {
    return __ballot_sync(~0u, f(thread()));
  }
  template <typename T> using Registers = OwnRegisters<T>;
};

class BlockTeam {
public:
  __device__ int width() const { return static_cast<int>(blockDim.x); }
  template <typename F> __device__ void each(F &&f) {
    f(static_cast<int>(threadIdx.x));
    __syncthreads();
  }
  template <typename T> using Registers = OwnRegisters<T>;
};
#endif

} // namespace uoe::rt::cuda
