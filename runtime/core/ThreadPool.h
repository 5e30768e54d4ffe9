// One thread pool for everything: kernels, generated code, loading.
#pragma once
#include <cstdint>
#include <functional>

namespace uoe::rt {

class ThreadPool {
public:
  /// `threads` counts the caller; 0 takes the number of cores this process may run on.
  explicit ThreadPool(int threads = 0);
  ~ThreadPool();
  int threads() const;

  /// Splits [0, count) into ranges of at least `grain` items and runs them on all threads, the
  /// caller included. The split depends on count, grain and threads() alone, so that results are
  /// deterministic for a thread count. The first exception of a range is rethrown here. A call from
  /// inside a range runs serially.
  void parallelFor(int64_t count, int64_t grain,
                   const std::function<void(int64_t begin, int64_t end)> &body);

  /// The process-wide pool; `setGlobalThreads` before the first use, or when nothing runs.
  static ThreadPool &global();
  static void setGlobalThreads(int threads);

private:
  struct Impl;
  Impl *impl;
};

} // namespace uoe::rt
