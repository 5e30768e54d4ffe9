// Threads that work together, a warp or a block, as the programs in this folder see them: phases
// with a barrier after each, and operations over all threads. On the device a thread runs its own
// part; on the host one loop runs all of them, so that a kernel's very source is tested on a CPU.
//
// A program is written against these members of Team:
//   width()          threads
//   each(f)          f(thread) on every thread, then a barrier
//   sum(f), add(f), highest(f), greatest(f), ballot(f)      over f(thread); 32 threads
//   own(f)           f(thread) without the barrier: for what touches the thread's own registers
//   alone Registers<T>     one T per thread that lives across phases; r[thread] addWithin(w, r)
//   r[thread].value[i] summed over aligned groups of w threads, for every i copy, commit, waitFor
//   copies to shared memory that go on while threads compute (cp.async) multiply(c, a, b) c += a b
//   on tensor cores, in warps' fragments (Fragment.h)
// What a phase writes to shared or global memory another thread may read from the next phase on.
#pragma once
#include "Fragment.h"
#include "HostDevice.h"
#include <cstring>
#include <deque>
#include <vector>

namespace uoe::rt::cuda {

/// Numbers of one thread that a team adds up.
template <int n> struct Sums {
  float value[n];

  UOE_HOST_DEVICE void add(const Sums &other) {
    UOE_UNROLL
    for (int i = 0; i < n; ++i)
      value[i] += other.value[i];
  }
  /// Adds what `other` makes of each number: another thread's.
  template <typename F> UOE_HOST_DEVICE void addFrom(F &&other) {
    UOE_UNROLL
    for (int i = 0; i < n; ++i)
      value[i] += other(value[i]);
  }
};

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
  template <typename F> void own(F &&f) { each(f); }
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

  template <typename R> void addWithin(int group, R &registers) {
    for (int step = group / 2; step > 0; step /= 2) {
      R before = registers;
      for (int i = 0; i < threads; ++i)
        registers[i].add(before[i ^ step]);
    }
  }

  /// 16 bytes at `to`: the first `bytes` from `from`, the rest 0. Done when it is waited for, and
  /// no earlier here.
  void copy(void *to, const void *from, int bytes) { open.push_back({to, from, bytes}); }
  /// Closes a group of copies.
  void commit() {
    groups.push_back(std::move(open));
    open.clear();
  }
  /// Until no more than `pending` groups are under way.
  template <int pending> void waitFor() {
    for (; groups.size() > size_t(pending); groups.pop_front())
      for (const Copy &copy : groups.front()) {
        std::memset(copy.to, 0, 16);
        if (copy.bytes > 0)
          std::memcpy(copy.to, copy.from, size_t(copy.bytes));
      }
  }

  template <typename T, typename C, typename A, typename B> void multiply(C &c, A &a, B &b) {
    for (int warp = 0; warp < threads; warp += 32)
      multiplyFragments<T>(
          [&](int lane) -> auto & { return c[warp + lane]; },
          [&](int lane) -> auto & { return a[warp + lane]; },
          [&](int lane) -> auto & { return b[warp + lane]; });
  }

private:
  struct Copy {
    void *to;
    const void *from;
    int bytes;
  };
  int threads;
  unsigned phase = 0;
  std::vector<Copy> open;
  std::deque<std::vector<Copy>> groups;
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
  template <typename F> __device__ void own(F &&f) { f(thread()); }
  template <typename R> __device__ void addWithin(int group, R &registers) {
    for (int step = group / 2; step > 0; step /= 2)
      registers[0].addFrom([step](float x) { return __shfl_xor_sync(~0u, x, step); });
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
  template <typename F> __device__ void own(F &&f) { f(static_cast<int>(threadIdx.x)); }
  template <typename R> __device__ void addWithin(int group, R &registers) {
    for (int step = group / 2; step > 0; step /= 2)
      registers[0].addFrom([step](float x) { return __shfl_xor_sync(~0u, x, step); });
  }
  __device__ void copy(void *to, const void *from, int bytes) {
    const unsigned shared = static_cast<unsigned>(__cvta_generic_to_shared(to));
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(shared), "l"(from),
                 "r"(bytes)
                 : "memory");
  }
  __device__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
  template <int pending> __device__ void waitFor() {
    asm volatile("cp.async.wait_group %0;" ::"n"(pending) : "memory");
  }
  template <typename T, typename C, typename A, typename B>
  __device__ void multiply(C &c, A &a, B &b) {
    multiplyOwn<T>(c[0], a[0], b[0]);
  }
  template <typename T> using Registers = OwnRegisters<T>;
};
#endif

} // namespace uoe::rt::cuda
