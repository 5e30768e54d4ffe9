#include "runtime/core/Tensor.h"
#include <gtest/gtest.h>
#include <limits>
#include <thread>

using namespace uoe::rt;

namespace {

TEST(Tensor, AlignedAndShared) {
  for (int64_t n : {0, 1, 7, 1000, 1 << 20}) {
    Tensor tensor(DType::F32, {n, 1});
    EXPECT_EQ(reinterpret_cast<uintptr_t>(tensor.raw()) % 64, 0u);
    EXPECT_NE(tensor.raw(), nullptr);
    EXPECT_TRUE(tensor.unique());
    Tensor other = tensor.reshaped({1, n});
    EXPECT_FALSE(tensor.unique());
    EXPECT_EQ(other.raw(), tensor.raw());
  }
}

TEST(Tensor, StorageOfOthersIsNeverUnique) {
  std::vector<float> values = {1, 2, 3};
  Tensor tensor(DType::F32, {3}, values.data(), nullptr);
  EXPECT_FALSE(tensor.unique());
  EXPECT_EQ(tensor.data<float>()[2], 3);
}

TEST(Tensor, RefusesBadShapes) {
  EXPECT_THROW(Tensor(DType::F32, {-1}), Error);
  EXPECT_THROW(Tensor(DType::F32, {int64_t(1) << 40, int64_t(1) << 40}), Error);
  EXPECT_THROW(Tensor(DType::String, {1}), Error);
  EXPECT_NO_THROW(Tensor(DType::F32, {0, int64_t(1) << 62, 8}));
  Tensor tensor(DType::F32, {2, 3});
  EXPECT_THROW(tensor.reshaped({7}), Error);
  EXPECT_THROW(tensor.aliased(DType::F64, {2, 3}), Error);
  EXPECT_EQ(tensor.aliased(DType::I32, {6}).dtype(), DType::I32);
}

TEST(Tensor, NumbersFromTensors) {
  EXPECT_EQ(toInts(makeInts({4, -2}), "x"), (std::vector<int64_t>{4, -2}));
  EXPECT_EQ(toInt(makeInts({4}), "x"), 4);
  EXPECT_THROW(toInt(makeInts({4, 5}), "x"), Error);
  Tensor half(DType::F16, {});
  half.data<Half>()[0] = Half(0.5f);
  EXPECT_EQ(toDouble(half, "x"), 0.5);
  EXPECT_THROW(toInt(half, "x"), Error);
  Tensor nibbles(DType::I4, {3});
  nibbles.data<uint8_t>()[0] = 0x8f;
  nibbles.data<uint8_t>()[1] = 0x07;
  EXPECT_EQ(toInts(nibbles, "x"), (std::vector<int64_t>{-1, -8, 7}));
  EXPECT_THROW(expectType(half, DType::F32, "x"), Error);
}

TEST(Allocator, ReusesAndBoundsWhatItKeeps) {
  releaseRetainedMemory();
  MemoryUse before = memoryUse();
  EXPECT_EQ(before.retained, 0u);
  void *first;
  {
    Tensor big(DType::U8, {32 << 20});
    first = big.raw();
    EXPECT_GE(memoryUse().live, before.live + (32u << 20));
  }
  EXPECT_EQ(memoryUse().live, before.live);
  EXPECT_EQ(Tensor(DType::U8, {32 << 20}).raw(), first);
  // Many sizes one after the other: never more is kept than was in use at once, a quarter and 64
  // MiB.
  for (int64_t megabytes = 33; megabytes < 100; ++megabytes)
    Tensor(DType::U8, {megabytes << 20});
  MemoryUse after = memoryUse();
  EXPECT_LE(after.live + after.retained, (before.live + (112u << 20)) / 4 * 5 + (64u << 20));
  releaseRetainedMemory();
  EXPECT_EQ(memoryUse().retained, 0u);
}

TEST(Allocator, SharedByThreads) {
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      std::vector<Tensor> kept;
      for (int i = 0; i < 5000; ++i) {
        Tensor tensor(DType::I32, {1 + (i * 7 + t) % 300});
        for (int64_t j = 0; j < tensor.size(); ++j)
          tensor.data<int32_t>()[j] = t;
        kept.push_back(tensor);
        if (kept.size() > 20)
          kept.erase(kept.begin() + i % 20);
      }
      for (const Tensor &tensor : kept)
        for (int64_t j = 0; j < tensor.size(); ++j)
          ASSERT_EQ(tensor.data<int32_t>()[j], t);
    });
  for (std::thread &thread : threads)
    thread.join();
}

} // namespace
