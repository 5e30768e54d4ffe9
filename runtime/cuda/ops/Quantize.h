// 8-bit integers with scales: to and from floats, and their products, exact in int32.
#pragma once
#include "Element.h"
#include "runtime/cuda/dispatch/Team.h"

namespace uoe::rt::cuda {

/// Scales and zero points of a tensor's elements: one for all, one for each place of an axis, or
/// one for each block of places. An element's place: [outer, axisLength, inner].
struct Scales {
  const void *scale = nullptr, *zero = nullptr; // zero null: 0
  DType scaleType = DType::F32, zeroType = DType::U8;
  bool one = true;
  int64_t inner = 1, axisLength = 1, blockSize = 0; // 0: one a place
  int64_t blocks = 0;                               // of an axis

  UOE_HOST_DEVICE int64_t of(int64_t i) const {
    if (one)
      return 0;
    const int64_t place = i / inner % axisLength;
    return blockSize == 0
               ? place
               : (i / inner / axisLength * blocks + place / blockSize) * inner + i % inner;
  }
  UOE_HOST_DEVICE float scaleAt(int64_t s) const { return loadAs<float>(scaleType, scale, s); }
  UOE_HOST_DEVICE float zeroAt(int64_t s) const {
    return zero ? loadAs<float>(zeroType, zero, s) : 0.0f;
  }
};

/// The integer that holds x, a multiple of the scale: to the nearest, ties to even, and no further
/// than the type reaches. NaN is the lowest.
UOE_HOST_DEVICE inline float quantised(DType type, float x, float zero) {
  const float low = (type == DType::I8 ? -128.0f : 0.0f) - zero;
  const float high = (type == DType::I8 ? 127.0f : 255.0f) - zero;
  x = x > low ? x : low;
  x = x < high ? x : high;
  return rintf(x) + zero;
}

struct QuantizeCall {
  const void *x = nullptr;
  void *y = nullptr;
  DType type = DType::F32, outType = DType::U8;
  Scales scales;
  float factor = 0; // x is multiplied by it; 0: divided by its scale
  int64_t count = 0;
};

/// A thread an element.
template <typename Grid>
UOE_HOST_DEVICE void quantizeKernel(const Grid &grid, const QuantizeCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.count)
      return;
    const int64_t s = call.scales.of(i);
    const float x = loadAs<float>(call.type, call.x, i);
    const float scaled = call.factor > 0 ? x * call.factor : x / call.scales.scaleAt(s);
    storeAs<float>(call.outType, call.y, i, quantised(call.outType, scaled, call.scales.zeroAt(s)));
  });
}

/// A thread an element: (x - zero) scale.
template <typename Grid>
UOE_HOST_DEVICE void dequantizeKernel(const Grid &grid, const QuantizeCall &call) {
  grid.eachThread([&](int64_t i) {
    if (i >= call.count)
      return;
    const int64_t s = call.scales.of(i);
    const float x = loadAs<float>(call.type, call.x, i);
    storeAs<float>(call.outType, call.y, i, (x - call.scales.zeroAt(s)) * call.scales.scaleAt(s));
  });
}

/// The range of x, 0 included, as the scale and zero point of 8 bits (DynamicQuantizeLinear).
struct RangeCall {
  const float *x = nullptr;
  int64_t count = 0;
  float *low = nullptr, *high = nullptr; // [parts]
  int32_t parts = 0;
  float *scale = nullptr;
  uint8_t *zero = nullptr;
};

/// A warp a part.
template <typename Grid>
UOE_HOST_DEVICE void rangePartsKernel(const Grid &grid, const RangeCall &call) {
  grid.eachWarp([&](auto &warp, int64_t part, int64_t) {
    if (part >= call.parts)
      return;
    auto furthest = [&](float sign) {
      return warp.greatest([&](int lane) {
        float found = 0;
        for (int64_t i = part * 32 + lane; i < call.count; i += int64_t(call.parts) * 32)
          found = fmaxf(found, sign * call.x[i]);
        return found;
      });
    };
    const float low = -furthest(-1), high = furthest(1);
    warp.each([&](int lane) {
      if (lane == 0) {
        call.low[part] = low;
        call.high[part] = high;
      }
    });
  });
}

/// One warp.
template <typename Grid>
UOE_HOST_DEVICE void rangeScaleKernel(const Grid &grid, const RangeCall &call) {
  grid.eachWarp([&](auto &warp, int64_t index, int64_t) {
    if (index > 0)
      return;
    auto furthest = [&](const float *of, float sign) {
      return warp.greatest([&](int lane) {
        float found = 0;
        for (int32_t i = lane; i < call.parts; i += 32)
          found = fmaxf(found, sign * of[i]);
        return found;
      });
    };
    const float low = -furthest(call.low, -1), high = furthest(call.high, 1);
    warp.each([&](int lane) {
      if (lane != 0)
        return;
      const float scale = low == high ? 1.0f : (high - low) / 255.0f;
      *call.scale = scale;
      *call.zero = static_cast<uint8_t>(rintf(least(255.0f, most(0.0f, -low / scale))));
    });
  });
}

/// What becomes of a product's sums.
enum class Sums32 : int32_t {
  Keep,     // int32
  Real,     // float: times both scales, plus a bias
  Quantise, // 8 bits: (sum + c) times both scales by y's scale
  Gemm,     // (sum + c) times both scales and alpha; float, or by y's scale to 8 bits
};

/// y [batches, m, n] of a [batches, m, k] less its zero points, and b [batches, k, n] less its own.
/// `aTurned`: a is [.., k, m]; `bTurned`: b is [.., n, k]. Of a batch's loops operand 0 is a, 1 is
/// b. What belongs to a row is given for `groups` batches, then again.
struct IntegerProductCall {
  const void *a = nullptr, *b = nullptr;
  void *y = nullptr;
  DType aType = DType::U8, bType = DType::U8, yType = DType::I32;
  bool aTurned = false, bTurned = false;
  int32_t m = 0, n = 0, k = 0, groups = 1;
  StridedLoops<2> batches;
  const void *aZero = nullptr, *bZero = nullptr; // null: 0
  DType aZeroType = DType::U8, bZeroType = DType::U8;
  bool aLines = false, bLines = false; // a zero point for each row, column
  /// Sums of two neighbours along k are clamped to 16 bits, as x86 without VNNI adds them.
  bool saturating = false;
  Sums32 then = Sums32::Keep;
  const float *aScale = nullptr, *bScale = nullptr, *bias = nullptr; // bias [n] or null
  bool aScales = false, bScales = false;                             // one for each row, column
  const int32_t *c = nullptr; // [groups, m] and [n] by these steps, or null
  int64_t cRow = 0, cColumn = 0;
  const float *yScale = nullptr; // null in Gemm: y is float
  const void *yZero = nullptr;
  float alpha = 1;

  UOE_HOST_DEVICE int32_t aZeroAt(int64_t line) const {
    return aZero ? static_cast<int32_t>(loadAs<int64_t>(aZeroType, aZero, aLines ? line : 0)) : 0;
  }
  UOE_HOST_DEVICE int32_t bZeroAt(int64_t line) const {
    return bZero ? static_cast<int32_t>(loadAs<int64_t>(bZeroType, bZero, bLines ? line : 0)) : 0;
  }
};

/// One element of y from its sum.
UOE_HOST_DEVICE inline void storeSum(const IntegerProductCall &call, int64_t batch, int32_t row,
                                     int32_t column, int32_t sum) {
  const int64_t line = batch % call.groups * call.m + row;
  const int64_t at = (batch * call.m + row) * call.n + column;
  if (call.then == Sums32::Keep) {
    static_cast<int32_t *>(call.y)[at] = sum;
    return;
  }
  const float both = call.aScale[call.aScales ? line : 0] * call.bScale[call.bScales ? column : 0];
  const int32_t c = call.c ? call.c[line * call.cRow + column * call.cColumn] : 0;
  float value;
  if (call.then == Sums32::Quantise) {
    value = static_cast<float>(sum + c) * (both / *call.yScale);
  } else {
    value = static_cast<float>(sum) * both + (call.bias ? call.bias[column] : 0.0f);
    if (call.then == Sums32::Gemm) {
      value = (value + static_cast<float>(c) * both) * call.alpha;
      value = call.yScale ? value / *call.yScale : value;
    }
  }
  if (call.yType != DType::F32)
    value =
        quantised(call.yType, value, call.yZero ? loadAs<float>(call.yType, call.yZero, 0) : 0.0f);
  storeAs<float>(call.yType, call.y, at, value);
}

constexpr int kIntegerTile = 32, kIntegerDepth = 64, kIntegerThreads = 256;
struct IntegerShared {
  int32_t a[kIntegerTile][kIntegerDepth + 1], b[kIntegerDepth][kIntegerTile + 1];
};

/// A block a tile of 32 x 32, a thread four rows of a column.
template <typename Grid>
UOE_HOST_DEVICE void integerProductKernel(const Grid &grid, const IntegerProductCall &call) {
  constexpr int perThread = kIntegerTile * kIntegerTile / kIntegerThreads;
  const int across = ceilDiv(call.n, kIntegerTile), down = ceilDiv(call.m, kIntegerTile);
  const int64_t batch = grid.block() / across / down;
  const int32_t row = grid.block() / across % down * kIntegerTile;
  const int32_t column = grid.block() % across * kIntegerTile;
  int64_t at[2];
  call.batches.offsets(batch, at);
  auto &shared = grid.template shared<IntegerShared>();
  auto team = grid.team();
  // Of each thread's rows: the sum of products, and of a's elements; last, of b's elements.
  struct Own {
    int32_t products[perThread], a[perThread], b;
  };
  typename decltype(team)::template Registers<Own> own(team);
  team.own([&](int thread) {
    unrolled<perThread>([&](int i) { own[thread].products[i] = own[thread].a[i] = 0; });
    own[thread].b = 0;
  });
  UOE_NO_UNROLL
  for (int32_t k0 = 0; k0 < call.k; k0 += kIntegerDepth) {
    team.each([&](int thread) {
      for (int i = thread; i < kIntegerTile * kIntegerDepth; i += kIntegerThreads) {
        const int32_t r = row + i / kIntegerDepth, k = k0 + i % kIntegerDepth;
        const bool inside = r < call.m && k < call.k;
        const int64_t from = call.aTurned ? int64_t(k) * call.m + r : int64_t(r) * call.k + k;
        shared.a[i / kIntegerDepth][i % kIntegerDepth] =
            inside ? static_cast<int32_t>(loadAs<int64_t>(call.aType, call.a, at[0] + from)) : 0;
      }
      for (int i = thread; i < kIntegerTile * kIntegerDepth; i += kIntegerThreads) {
        const int32_t j = column + i % kIntegerTile, k = k0 + i / kIntegerTile;
        const bool inside = j < call.n && k < call.k;
        const int64_t from = call.bTurned ? int64_t(j) * call.k + k : int64_t(k) * call.n + j;
        shared.b[i / kIntegerTile][i % kIntegerTile] =
            inside ? static_cast<int32_t>(loadAs<int64_t>(call.bType, call.b, at[1] + from)) : 0;
      }
    });
    team.each([&](int thread) {
      const int j = thread % kIntegerTile, r = thread / kIntegerTile;
      Own &sums = own[thread];
      UOE_NO_UNROLL
      for (int k = 0; k < kIntegerDepth; k += 2) {
        const int32_t b0 = shared.b[k][j], b1 = shared.b[k + 1][j];
        sums.b += b0 + b1;
        unrolled<perThread>([&](int i) {
          const int32_t *a = shared.a[r + i * (kIntegerTile / perThread)] + k;
          int32_t pair = a[0] * b0 + a[1] * b1;
          if (call.saturating)
            pair = least(32767, most(-32768, pair));
          sums.products[i] += pair;
          sums.a[i] += a[0] + a[1];
        });
      }
    });
  }
  team.own([&](int thread) {
    const int32_t j = column + thread % kIntegerTile;
    const Own &sums = own[thread];
    unrolled<perThread>([&](int i) {
      const int32_t r = row + thread / kIntegerTile + i * (kIntegerTile / perThread);
      if (r >= call.m || j >= call.n)
        return;
      const int32_t za = call.aZeroAt(batch % call.groups * call.m + r), zb = call.bZeroAt(j);
      storeSum(call, batch, r, j,
               sums.products[i] - za * sums.b - zb * sums.a[i] + call.k * za * zb);
    });
  });
}

} // namespace uoe::rt::cuda
