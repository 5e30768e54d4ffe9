// Products with weights of 2, 4 or 8 bits in blocks along the depth, each with its scale and zero
// (com.microsoft MatMulNBits).
#pragma once
#include "Element.h"
#include "runtime/cuda/dispatch/Team.h"

namespace uoe::rt::cuda {

/// Weights [n, blocks, blockSize * bits / 8 bytes], the lowest bits of a byte first; a weight is
/// (code - zero) * scale. The last block of a row may be partly unused.
struct BitsWeights {
  const uint32_t *codes = nullptr;     // read by words of four bytes
  const float *scales = nullptr;       // [n, blocks]
  const float *zeroFloats = nullptr;   // [n, blocks], or
  const uint8_t *zeroPacked = nullptr; // [n, ceil(blocks * bits / 8)], or 2^(bits - 1)
  int32_t n = 0, k = 0, blockSize = 0, blocks = 0, bits = 4;

  UOE_HOST_DEVICE int perWord() const { return 32 / bits; }
  UOE_HOST_DEVICE int64_t wordsPerRow() const { return int64_t(blocks) * blockSize * bits / 32; }
  UOE_HOST_DEVICE float zero(int64_t row, int32_t block) const {
    if (zeroFloats)
      return zeroFloats[row * blocks + block];
    if (!zeroPacked)
      return static_cast<float>(1 << (bits - 1));
    const int64_t stride = (int64_t(blocks) * bits + 7) / 8, bit = int64_t(block) * bits;
    return static_cast<float>(zeroPacked[row * stride + bit / 8] >> (bit % 8) & ((1 << bits) - 1));
  }
  /// f(place along k, weight) for what a word of a row holds.
  template <typename F> UOE_HOST_DEVICE void eachOf(int64_t row, int64_t word, F &&f) const {
    const int64_t first = word * perWord();
    if (first >= k)
      return;
    const auto block = static_cast<int32_t>(first / blockSize);
    const float scale = scales[row * blocks + block], base = zero(row, block);
    uint32_t rest = codes[row * wordsPerRow() + word];
    const auto end = static_cast<int32_t>(least<int64_t>(k, first + perWord()));
    for (auto at = static_cast<int32_t>(first); at < end; ++at, rest >>= bits)
      f(at, (static_cast<float>(rest & ((1u << bits) - 1)) - base) * scale);
  }
};

struct BitsCall {
  BitsWeights weights;
  const float *x = nullptr, *bias = nullptr; // [m, k], [n] or null
  float *y = nullptr;                        // [m, n]; or the weights [n, k]; or x rounded
  int32_t m = 0;
};

/// Up to kBitsRows rows: a warp a column, so that each code is read once.
constexpr int kBitsRows = 8;

template <typename Grid>
UOE_HOST_DEVICE void bitsRowsKernel(const Grid &grid, const BitsCall &call) {
  grid.eachWarp([&](auto &warp, int64_t column, int64_t) {
    using Warp = std::remove_reference_t<decltype(warp)>;
    const BitsWeights &w = call.weights;
    if (column >= w.n)
      return;
    typename Warp::template Registers<Sums<kBitsRows>> sums(warp);
    warp.own([&](int lane) {
      auto &own = sums[lane].value;
      unrolled<kBitsRows>([&](int r) { own[r] = 0; });
      for (int64_t word = lane; word < w.wordsPerRow(); word += 32)
        w.eachOf(column, word, [&](int32_t at, float weight) {
          unrolled<kBitsRows>(
              [&](int r) { own[r] += r < call.m ? call.x[int64_t(r) * w.k + at] * weight : 0.0f; });
        });
    });
    warp.addWithin(32, sums);
    warp.each([&](int lane) {
      unrolled<kBitsRows>([&](int r) {
        if (r == lane && r < call.m)
          call.y[int64_t(r) * w.n + column] =
              sums[lane].value[r] + (call.bias ? call.bias[column] : 0.0f);
      });
    });
  });
}

/// A thread a word: y [n, k] = the weights as floats.
template <typename Grid>
UOE_HOST_DEVICE void bitsToFloatsKernel(const Grid &grid, const BitsCall &call) {
  grid.eachThread([&](int64_t i) {
    const BitsWeights &w = call.weights;
    const int64_t row = i / w.wordsPerRow();
    if (row < w.n)
      w.eachOf(row, i % w.wordsPerRow(),
               [&](int32_t at, float weight) { call.y[row * w.k + at] = weight; });
  });
}

/// A thread a block of a row: y = x rounded to 8 bits with a scale a block (accuracy_level 4).
template <typename Grid>
UOE_HOST_DEVICE void roundBlocksKernel(const Grid &grid, const BitsCall &call) {
  grid.eachThread([&](int64_t i) {
    const BitsWeights &w = call.weights;
    const int64_t row = i / w.blocks, first = i % w.blocks * w.blockSize;
    if (row >= call.m)
      return;
    const int64_t end = least<int64_t>(w.k, first + w.blockSize);
    const float *x = call.x + row * w.k;
    float largest = 0;
    for (int64_t k = first; k < end; ++k)
      largest = fmaxf(largest, fabsf(x[k]));
    const float scale = largest / 127.0f, inverse = scale != 0 ? 1.0f / scale : 0.0f;
    for (int64_t k = first; k < end; ++k)
      call.y[row * w.k + k] = rintf(x[k] * inverse) * scale;
  });
}

} // namespace uoe::rt::cuda
