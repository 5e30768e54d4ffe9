#include "runtime/core/ThreadPool.h"
#include "runtime/core/Error.h"
#include <atomic>
#include <gtest/gtest.h>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

using namespace uoe::rt;

namespace {

using Ranges = std::set<std::pair<int64_t, int64_t>>;

Ranges rangesOf(ThreadPool &pool, int64_t count, int64_t grain) {
  Ranges ranges;
  std::mutex mutex;
  pool.parallelFor(count, grain, [&](int64_t begin, int64_t end) {
    std::lock_guard<std::mutex> lock(mutex);
    EXPECT_TRUE(ranges.emplace(begin, end).second);
  });
  return ranges;
}

TEST(ThreadPool, CoversEachIndexOnce) {
  for (int threads : {1, 2, 3, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int64_t count : {0, 1, 2, 5, 17, 1000, 100003})
      for (int64_t grain : {1, 3, 64, 1000000}) {
        int64_t next = 0;
        for (auto [begin, end] : rangesOf(pool, count, grain)) {
          EXPECT_EQ(begin, next);
          EXPECT_GT(end, begin);
          next = end;
        }
        EXPECT_EQ(next, count);
      }
  }
}

TEST(ThreadPool, SplitIsDeterministic) {
  ThreadPool pool(3), other(3);
  for (int64_t count : {10, 1000, 12345})
    for (int repeat = 0; repeat < 20; ++repeat)
      EXPECT_EQ(rangesOf(pool, count, 7), rangesOf(other, count, 7));
}

TEST(ThreadPool, NestedCallsRunSerially) {
  ThreadPool pool(4);
  std::atomic<int64_t> sum{0};
  pool.parallelFor(8, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      auto thread = std::this_thread::get_id();
      pool.parallelFor(100, 1, [&](int64_t innerBegin, int64_t innerEnd) {
        EXPECT_EQ(std::this_thread::get_id(), thread);
        sum += innerEnd - innerBegin;
      });
    }
  });
  EXPECT_EQ(sum, 800);
}

TEST(ThreadPool, ForwardsExceptionsAndGoesOn) {
  ThreadPool pool(4);
  for (int repeat = 0; repeat < 50; ++repeat) {
    EXPECT_THROW(pool.parallelFor(100, 1,
                                  [&](int64_t begin, int64_t) {
                                    if (begin >= 25)
                                      fail("range ", begin);
                                  }),
                 Error);
    std::atomic<int64_t> count{0};
    pool.parallelFor(100, 1, [&](int64_t begin, int64_t end) { count += end - begin; });
    EXPECT_EQ(count, 100);
  }
}

TEST(ThreadPool, ManySmallJobsAndPauses) {
  ThreadPool pool(4);
  for (int job = 0; job < 3000; ++job) {
    std::atomic<int64_t> count{0};
    pool.parallelFor(64, 1, [&](int64_t begin, int64_t end) { count += end - begin; });
    ASSERT_EQ(count, 64);
    if (job % 500 == 0) // long enough for the workers to fall asleep
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
  }
}

TEST(ThreadPool, CallersOnSeveralThreads) {
  ThreadPool pool(3);
  std::vector<std::thread> callers;
  for (int t = 0; t < 4; ++t)
    callers.emplace_back([&] {
      for (int job = 0; job < 300; ++job) {
        std::vector<int> hits(257);
        pool.parallelFor(257, 1, [&](int64_t begin, int64_t end) {
          for (int64_t i = begin; i < end; ++i)
            ++hits[i];
        });
        for (int hit : hits)
          ASSERT_EQ(hit, 1);
      }
    });
  for (std::thread &caller : callers)
    caller.join();
}

} // namespace
