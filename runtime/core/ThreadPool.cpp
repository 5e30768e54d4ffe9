// Persistent workers that claim chunks of one job at a time. Workers spin briefly before they
// sleep, since the next kernel usually follows within microseconds and waking a thread costs tens
// of them.
#include "ThreadPool.h"
#include <algorithm>
#include <atomic>
#include <cmath>
#include <condition_variable>
#include <exception>
#include <fstream>
#include <memory>
#include <mutex>
#include <sched.h>
#include <string>
#include <thread>
#include <vector>

namespace uoe::rt {
namespace {

thread_local bool insideRange = false;

inline void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

/// Cores that the affinity mask and the control group's quota allow.
int availableCores() {
  int cores = static_cast<int>(std::thread::hardware_concurrency());
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0)
    cores = CPU_COUNT(&set);
  std::ifstream quotaFile("/sys/fs/cgroup/cpu.max");
  std::string quota;
  double period = 0;
  if (quotaFile >> quota >> period && quota != "max" && period > 0) {
    double limit = std::strtod(quota.c_str(), nullptr) / period;
    if (limit > 0)
      cores = std::min(cores, std::max(1, static_cast<int>(std::lround(limit))));
  }
  return std::max(1, cores);
}

} // namespace

struct ThreadPool::Impl {
  // About 50 microseconds; pause takes some 40 cycles on current cores.
  static constexpr int kSpins = 4000;

  int threads;
  std::vector<std::thread> workers;
  std::mutex callers; // one job at a time; others run serially

  // The job. Written only while `open` is false and no worker is active.
  const std::function<void(int64_t, int64_t)> *body = nullptr;
  int64_t count = 0, chunk = 0, chunks = 0;
  std::atomic<int64_t> next{0};
  std::mutex errorMutex;
  std::exception_ptr error;

  std::atomic<bool> open{false};
  std::atomic<int> active{0};
  std::atomic<uint64_t> epoch{0};
  std::atomic<int> sleeping{0};
  std::atomic<bool> stop{false};
  std::mutex sleepMutex;
  std::condition_variable wake;

  explicit Impl(int threads) : threads(threads) {
    for (int i = 1; i < threads; ++i)
      workers.emplace_back([this] { work(); });
  }
  ~Impl() {
    {
      std::lock_guard<std::mutex> lock(sleepMutex);
      stop = true;
      ++epoch;
    }
    wake.notify_all();
    for (std::thread &worker : workers)
      worker.join();
  }

  void runChunks() {
    insideRange = true;
    for (;;) {
      int64_t i = next.fetch_add(1, std::memory_order_relaxed);
      if (i >= chunks)
        break;
      try {
        (*body)(i * chunk, std::min(count, (i + 1) * chunk));
      } catch (...) {
        std::lock_guard<std::mutex> lock(errorMutex);
        if (!error)
          error = std::current_exception();
        next.store(chunks, std::memory_order_relaxed);
      }
    }
    insideRange = false;
  }

  void work() {
    uint64_t seen = 0;
    for (;;) {
      uint64_t now = epoch.load(std::memory_order_acquire);
      for (int spin = 0; now == seen && spin < kSpins; ++spin) {
        pause();
        now = epoch.load(std::memory_order_acquire);
      }
      if (now == seen) {
        std::unique_lock<std::mutex> lock(sleepMutex);
        sleeping.fetch_add(1);
        wake.wait(lock, [&] { return epoch.load() != seen; });
        sleeping.fetch_sub(1);
        now = epoch.load();
      }
      seen = now;
      if (stop)
        return;
      // A caller that closes the job waits for `active` to fall to 0, so whoever sees it open may
      // read it.
      active.fetch_add(1);
      if (open.load())
        runChunks();
      active.fetch_sub(1);
    }
  }

  void run(int64_t jobCount, int64_t jobChunk, int64_t jobChunks,
           const std::function<void(int64_t, int64_t)> &jobBody) {
    body = &jobBody;
    count = jobCount;
    chunk = jobChunk;
    chunks = jobChunks;
    error = nullptr;
    next.store(0, std::memory_order_relaxed);
    open.store(true);
    epoch.fetch_add(1);
    if (sleeping.load() > 0) {
      std::lock_guard<std::mutex> lock(sleepMutex);
      wake.notify_all();
    }
    runChunks();
    open.store(false);
    for (int spin = 0; active.load() != 0; ++spin) {
      if (spin < kSpins)
        pause();
      else
        std::this_thread::yield();
    }
    if (error)
      std::rethrow_exception(error);
  }
};

ThreadPool::ThreadPool(int threads) : impl(new Impl(threads > 0 ? threads : availableCores())) {}
ThreadPool::~ThreadPool() {
  delete impl;
}
int ThreadPool::threads() const {
  return impl->threads;
}

void ThreadPool::parallelFor(int64_t count, int64_t grain,
                             const std::function<void(int64_t begin, int64_t end)> &body) {
  if (count <= 0)
    return;
  grain = std::max<int64_t>(grain, 1);
  // A few chunks per thread even out cores of different speed and neighbours on the machine.
  int64_t most = impl->threads == 1 ? 1 : int64_t(4) * impl->threads;
  int64_t chunks = std::max<int64_t>(1, std::min(count / grain, most));
  int64_t chunk = (count + chunks - 1) / chunks;
  chunks = (count + chunk - 1) / chunk;
  if (chunks == 1)
    return body(0, count);
  std::unique_lock<std::mutex> lock(impl->callers, std::defer_lock);
  if (insideRange || !lock.try_lock()) {
    for (int64_t begin = 0; begin < count; begin += chunk)
      body(begin, std::min(count, begin + chunk));
    return;
  }
  impl->run(count, chunk, chunks, body);
}

namespace {
std::mutex globalMutex;
std::atomic<ThreadPool *> globalPool{nullptr};
} // namespace

ThreadPool &ThreadPool::global() {
  if (ThreadPool *pool = globalPool.load(std::memory_order_acquire))
    return *pool;
  std::lock_guard<std::mutex> lock(globalMutex);
  if (!globalPool.load())
    globalPool.store(new ThreadPool(0), std::memory_order_release);
  return *globalPool.load();
}

void ThreadPool::setGlobalThreads(int threads) {
  std::lock_guard<std::mutex> lock(globalMutex);
  ThreadPool *old = globalPool.exchange(nullptr);
  delete old;
  globalPool.store(new ThreadPool(threads), std::memory_order_release);
}

} // namespace uoe::rt
