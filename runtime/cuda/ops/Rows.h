// Rows reduced or normalised, a warp a row; sums in float, in the order of a butterfly.
#pragma once
#include "Element.h"

namespace uoe::rt::cuda {

enum class RowOp : int32_t {
  LayerNorm,
  RmsNorm,
  Unit, // of length 1, or zeros
  Softmax,
  LogSoftmax,
  Sum,
  Mean,
  Max,
  Min,
  SumSquare,
  L2,
};

/// x is [outer, n, inner]: row (o, i) has its elements `inner` apart. Reductions give y [outer,
/// inner], the others y of x's shape. Norms: gamma and beta [n] or null; `skip` [skipRows, n],
/// which repeats, and `bias` [n] are added to x first, and their sum is written to `sum`.
struct RowCall {
  RowOp op = RowOp::Sum;
  DType type = DType::F32, outType = DType::F32, gammaType = DType::F32;
  const void *x = nullptr, *gamma = nullptr, *beta = nullptr, *skip = nullptr, *bias = nullptr;
  void *y = nullptr, *sum = nullptr;
  int64_t rows = 0, n = 0, inner = 1, skipRows = 1;
  float epsilon = 0;
};

template <typename Warp>
UOE_HOST_DEVICE void normRow(Warp &warp, const RowCall &call, int64_t row) {
  const int64_t n = call.n;
  auto x = [&](int64_t j) {
    float value = loadAs<float>(call.type, call.x, row * n + j);
    if (call.skip)
      value += loadAs<float>(call.type, call.skip, row % call.skipRows * n + j);
    if (call.bias)
      value += loadAs<float>(call.type, call.bias, j);
    return value;
  };
  float mean = 0;
  if (call.op == RowOp::LayerNorm)
    mean = warp.add([&](int lane) {
      float sum = 0;
      for (int64_t j = lane; j < n; j += 32)
        sum += x(j);
      return sum;
    }) / static_cast<float>(n);
  const float squares = warp.add([&](int lane) {
    float sum = 0;
    for (int64_t j = lane; j < n; j += 32)
      sum += (x(j) - mean) * (x(j) - mean);
    return sum;
  });
  const float inverse = call.op != RowOp::Unit
                            ? 1 / sqrtf(squares / static_cast<float>(n) + call.epsilon)
                        : squares == 0 ? 0.0f
                                       : 1 / sqrtf(squares);
  warp.each([&](int lane) {
    for (int64_t j = lane; j < n; j += 32) {
      const float value = x(j);
      if (call.sum)
        storeAs<float>(call.type, call.sum, row * n + j, value);
      float y = (value - mean) * inverse;
      if (call.gamma)
        y *= loadAs<float>(call.gammaType, call.gamma, j);
      if (call.beta)
        y += loadAs<float>(call.gammaType, call.beta, j);
      storeAs<float>(call.outType, call.y, row * n + j, y);
    }
  });
}

template <typename Warp>
UOE_HOST_DEVICE void softmaxRow(Warp &warp, const RowCall &call, int64_t first) {
  auto x = [&](int64_t j) { return loadAs<float>(call.type, call.x, first + j * call.inner); };
  const float highest = warp.greatest([&](int lane) {
    float found = -INFINITY;
    for (int64_t j = lane; j < call.n; j += 32)
      found = fmaxf(found, x(j));
    return found;
  });
  const float sum = warp.add([&](int lane) {
    float part = 0;
    for (int64_t j = lane; j < call.n; j += 32)
      part += expf(x(j) - highest);
    return part;
  });
  const float scale = call.op == RowOp::Softmax ? 1 / sum : logf(sum);
  warp.each([&](int lane) {
    for (int64_t j = lane; j < call.n; j += 32) {
      const float shifted = x(j) - highest;
      storeAs<float>(call.outType, call.y, first + j * call.inner,
                     call.op == RowOp::Softmax ? expf(shifted) * scale : shifted - scale);
    }
  });
}

template <typename Warp>
UOE_HOST_DEVICE void reduceRow(Warp &warp, const RowCall &call, int64_t row, int64_t first) {
  auto x = [&](int64_t j) { return loadAs<float>(call.type, call.x, first + j * call.inner); };
  float result = 0;
  if (call.op == RowOp::Max || call.op == RowOp::Min) {
    const float sign = call.op == RowOp::Max ? 1.0f : -1.0f;
    result = sign * warp.greatest([&](int lane) {
      float found = -INFINITY;
      for (int64_t j = lane; j < call.n; j += 32)
        found = fmaxf(found, sign * x(j));
      return found;
    });
    const float bad = warp.add([&](int lane) {
      float count = 0;
      for (int64_t j = lane; j < call.n; j += 32)
        count += x(j) != x(j);
      return count;
    });
    if (bad > 0)
      result = NAN;
  } else {
    const bool squared = call.op == RowOp::SumSquare || call.op == RowOp::L2;
    result = warp.add([&](int lane) {
      float sum = 0;
      for (int64_t j = lane; j < call.n; j += 32)
        sum += squared ? x(j) * x(j) : x(j);
      return sum;
    });
    if (call.op == RowOp::Mean)
      result /= static_cast<float>(call.n);
    if (call.op == RowOp::L2)
      result = sqrtf(result);
  }
  warp.each([&](int lane) {
    if (lane == 0)
      storeAs<float>(call.outType, call.y, row, result);
  });
}

/// A warp a row.
template <typename Grid> UOE_HOST_DEVICE void rowsKernel(const Grid &grid, const RowCall &call) {
  grid.eachWarp([&](auto &warp, int64_t row, int64_t) {
    if (row >= call.rows)
      return;
    const int64_t first = row / call.inner * call.n * call.inner + row % call.inner;
    switch (call.op) {
    case RowOp::LayerNorm:
    case RowOp::RmsNorm:
    case RowOp::Unit:
      return normRow(warp, call, row);
    case RowOp::Softmax:
    case RowOp::LogSoftmax:
      return softmaxRow(warp, call, first);
    default:
      return reduceRow(warp, call, row, first);
    }
  });
}

/// The k highest of each row of x [rows, n], or the lowest, in order; of equal ones the first.
struct TopKCall {
  DType type = DType::F32;
  const void *x = nullptr;
  void *values = nullptr;
  int64_t *indices = nullptr;
  int64_t rows = 0, n = 0, k = 0;
  bool largest = true;
};

/// A warp a row: each turn finds the highest key below the last one's.
template <typename Grid> UOE_HOST_DEVICE void topKKernel(const Grid &grid, const TopKCall &call) {
  grid.eachWarp([&](auto &warp, int64_t row, int64_t) {
    if (row >= call.rows)
      return;
    // Orders as the floats do, and equal ones by their index; no key is 0.
    auto key = [&](int64_t j) {
      const float x = loadAs<float>(call.type, call.x, row * call.n + j);
      uint32_t bits = bitsOfFloat(x == 0 ? 0.0f : x);
      bits = bits & 0x80000000u ? ~bits : bits | 0x80000000u;
      if (!call.largest)
        bits = ~bits;
      return uint64_t(bits) << 32 | (0xffffffffu - uint32_t(j));
    };
    uint64_t last = ~uint64_t(0);
    for (int64_t i = 0; i < call.k; ++i) {
      last = warp.highest([&](int lane) {
        uint64_t found = 0;
        for (int64_t j = lane; j < call.n; j += 32) {
          const uint64_t own = key(j);
          found = own < last ? most(found, own) : found;
        }
        return found;
      });
      const int64_t j = 0xffffffffu - uint32_t(last);
      warp.each([&](int lane) {
        if (lane != 0)
          return;
        storeAs<float>(call.type, call.values, row * call.k + i,
                       loadAs<float>(call.type, call.x, row * call.n + j));
        call.indices[row * call.k + i] = j;
      });
    }
  });
}

/// Running sums along the middle axis of x [outer, n, inner].
struct CumulativeCall {
  DType type = DType::F32;
  const void *x = nullptr;
  void *y = nullptr;
  int64_t outer = 0, n = 0, inner = 1;
  bool exclusive = false, reverse = false;
};

/// A thread a row, in the CPU's order. C: float, or int64_t, which wraps around as its type does.
template <typename C, typename Grid>
UOE_HOST_DEVICE void cumulativeKernel(const Grid &grid, const CumulativeCall &call) {
  grid.eachThread([&](int64_t row) {
    if (row >= call.outer * call.inner)
      return;
    const int64_t first = row / call.inner * call.n * call.inner + row % call.inner;
    C sum = 0;
    for (int64_t j = 0; j < call.n; ++j) {
      const int64_t at = first + (call.reverse ? call.n - 1 - j : j) * call.inner;
      const C next = sum + loadAs<C>(call.type, call.x, at);
      storeAs<C>(call.type, call.y, at, call.exclusive ? sum : next);
      sum = next;
    }
  });
}

/// Integers: a thread a row. Sum, Max and Min.
template <typename Grid>
UOE_HOST_DEVICE void integerRowsKernel(const Grid &grid, const RowCall &call) {
  grid.eachThread([&](int64_t row) {
    if (row >= call.rows)
      return;
    const int64_t first = row / call.inner * call.n * call.inner + row % call.inner;
    int64_t result = 0;
    for (int64_t j = 0; j < call.n; ++j) {
      const auto x = loadAs<int64_t>(call.type, call.x, first + j * call.inner);
      result = j == 0                  ? x
               : call.op == RowOp::Sum ? result + x
               : call.op == RowOp::Max ? most(result, x)
                                       : least(result, x);
    }
    storeAs<int64_t>(call.outType, call.y, row, result);
  });
}

} // namespace uoe::rt::cuda
