// Row-wise helpers of the matrix products: packing rows into slivers, and what follows a product.
#pragma once
#include "Math.h"
#include "MicroGemm.h"

namespace uoe::rt::fast::UOE_SIMD {

/// out[j * stride + i] = rows[i][j] for i < width, j < k, rows from m on as 0. Where blocks reach
/// past width, they are written in ascending order, so that only what follows the last row is
/// spoilt: see packRows in Table.h.
template <int Width>
UOE_INLINE void transposeRows(const float *const *rows, int64_t m, int64_t k, float *out) {
  int64_t j = 0;
  for (; j + block <= k; j += block)
    for (int i = 0; i < Width; i += block)
      transposeBlock(rows + i, m - i, j, out + j * Width + i, Width);
  for (; j < k; ++j)
    for (int i = 0; i < Width; ++i)
      out[j * Width + i] = i < m ? rows[i][j] : 0.0f;
}
inline void packRows(const float *const *rows, int64_t m, int64_t k, float *out) {
  transposeRows<tileRows>(rows, m, k, out);
}
inline void packPanel(const float *const *rows, int64_t n, int64_t k, float *out) {
  transposeRows<16>(rows, n, k, out);
}

/// out[i][j] = a[i] . b[j] for a few rows of a: both contiguous in k.
template <int Rows>
void dotSome(int64_t n, int64_t k, const float *a, int64_t lda, const float *b, int64_t ldb,
             float *out, int64_t ldo) {
  constexpr int side = 4;
  int64_t j = 0;
  auto run = [&](auto width) {
    constexpr int w = decltype(width)::value;
    V acc[w][Rows];
    UOE_UNROLL for (int c = 0; c < w; ++c) UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[c][r] =
        set1(0.0f);
    forLanes(k, [&](int64_t i, int64_t count) {
      V x[Rows];
      UOE_UNROLL for (int r = 0; r < Rows; ++r) x[r] = loadN(a + r * lda + i, count);
      UOE_UNROLL for (int c = 0; c < w; ++c) {
        V y = loadN(b + (j + c) * ldb + i, count);
        UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[c][r] = fma(x[r], y, acc[c][r]);
      }
    });
    UOE_UNROLL for (int r = 0; r < Rows; ++r) {
      if constexpr (w == 4)
        sum4(acc[0][r], acc[1][r], acc[2][r], acc[3][r], out + r * ldo + j);
      else
        UOE_UNROLL for (int c = 0; c < w; ++c) out[r * ldo + j + c] = sum(acc[c][r]);
    }
  };
  for (; j + side <= n; j += side)
    run(Count<side>());
  for (; j < n; ++j)
    run(Count<1>());
}
inline void dots(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
                 int64_t ldb, float *out, int64_t ldo) {
  if constexpr (registers == 32)
    for (; m >= 4; m -= 4, a += 4 * lda, out += 4 * ldo)
      dotSome<4>(n, k, a, lda, b, ldb, out, ldo);
  for (; m >= 2; m -= 2, a += 2 * lda, out += 2 * ldo)
    dotSome<2>(n, k, a, lda, b, ldb, out, ldo);
  if (m)
    dotSome<1>(n, k, a, lda, b, ldb, out, ldo);
}

/// c = act(alpha * x + bias) + residualScale * residual, see Finish in Table.h.
template <bool HasBias, bool HasResidual, Activation A> void finishRows(const Finish &f) {
  const V alpha = set1(f.alpha), scale = set1(f.residualScale);
  for (int64_t r = 0; r < f.m; ++r) {
    const float *x = f.x + r * f.ldx, *residual = f.residual + r * f.ldr;
    float *c = f.c + r * f.ldc;
    forLanes(f.n, [&](int64_t i, int64_t count) {
      V v = loadN(x + i, count) * alpha;
      if constexpr (HasBias)
        v = v + loadN(f.bias + i, count);
      v = apply<A>(v);
      if constexpr (HasResidual)
        v = fma(scale, loadN(residual + i, count), v);
      storeN(c + i, v, count);
    });
  }
}

inline void finish(const Finish &f) {
  withActivation(f.act, [&](auto act) {
    constexpr Activation a = decltype(act)::value;
    if (f.bias)
      f.residual ? finishRows<true, true, a>(f) : finishRows<true, false, a>(f);
    else
      f.residual ? finishRows<false, true, a>(f) : finishRows<false, false, a>(f);
  });
}

inline void gated(Activation act, const float *gate, const float *up, float *y, int64_t n) {
  withActivation(act, [&](auto a) {
    forLanes(n, [&](int64_t i, int64_t count) {
      storeN(y + i, apply<decltype(a)::value>(loadN(gate + i, count)) * loadN(up + i, count),
             count);
    });
  });
}

inline void activation(Activation act, const float *x, float *y, int64_t n) {
  withActivation(act, [&](auto a) {
    forLanes(n, [&](int64_t i, int64_t count) {
      storeN(y + i, apply<decltype(a)::value>(loadN(x + i, count)), count);
    });
  });
}

} // namespace uoe::rt::fast::UOE_SIMD
