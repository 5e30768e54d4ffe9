// Products with chosen rows of a matrix, for few tokens: bound by reading those rows.
#pragma once
#include "MicroGemm.h"

namespace uoe::rt::fast::UOE_SIMD {

/// See SparseRows in Table.h. Four rows of b at a time: the sums in L1 are touched once for four.
template <typename B, int Rows> void addRowsOf(const SparseRows &s) {
  constexpr int side = 4;
  const B *rows = static_cast<const B *>(s.b);
  int64_t i = 0;
  auto run = [&](auto width, int64_t ahead) {
    constexpr int w = decltype(width)::value;
    const B *b[w], *next[w];
    UOE_UNROLL for (int c = 0; c < w; ++c) {
      b[c] = rows + s.index[i + c] * s.ldb;
      next[c] = rows + s.index[i + c + ahead] * s.ldb;
    }
    const float *a = s.a + i * Rows;
    for (int64_t j = 0; j < s.n; j += lanes) {
      V row[w];
      UOE_UNROLL for (int c = 0; c < w; ++c) {
        row[c] = loadB(b[c] + j);
        prefetch(next[c] + j);
      }
      UOE_UNROLL for (int r = 0; r < Rows; ++r) {
        V sum = load(s.c + r * s.ldc + j);
        UOE_UNROLL for (int c = 0; c < w; ++c) sum = fma(set1(a[c * Rows + r]), row[c], sum);
        store(s.c + r * s.ldc + j, sum);
      }
    }
  };
  // Rows to ask for ahead of time: about 8 KB, whole steps.
  const int64_t ahead = (2048 / (s.n + 1) + side) / side * side;
  for (; i + ahead + side <= s.count; i += side)
    run(Count<side>(), ahead);
  for (; i + side <= s.count; i += side)
    run(Count<side>(), 0);
  for (; i < s.count; ++i)
    run(Count<1>(), 0);
}

template <typename B> void addRows(const SparseRows &s) {
  switch (s.m) {
  case 1:
    return addRowsOf<B, 1>(s);
  case 2:
    return addRowsOf<B, 2>(s);
  case 3:
    return addRowsOf<B, 3>(s);
  case 4:
    return addRowsOf<B, 4>(s);
  case 5:
    return addRowsOf<B, 5>(s);
  case 6:
    return addRowsOf<B, 6>(s);
  case 7:
    return addRowsOf<B, 7>(s);
  case 8:
    return addRowsOf<B, 8>(s);
  }
}

/// out[i * m + r] = a[r] . b[index[i]], for rows of n floats (a multiple of 16).
template <typename B, int Rows>
UOE_INLINE void dotRowsOf(const SparseRows &s, const float *a, float *out, int64_t i,
                          int64_t next) {
  V acc[2][Rows];
  UOE_UNROLL for (int h = 0; h < 2; ++h) UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[h][r] =
      set1(0.0f);
  const B *b = static_cast<const B *>(s.b) + s.index[i] * s.ldb,
          *ahead = static_cast<const B *>(s.b) + s.index[next] * s.ldb;
  int64_t j = 0;
  for (; j + 2 * lanes <= s.n; j += 2 * lanes)
    UOE_UNROLL for (int h = 0; h < 2; ++h) {
      V y = loadB(b + j + h * lanes);
      prefetch(ahead + j + h * lanes);
      UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[h][r] =
          fma(load(a + r * s.lda + j + h * lanes), y, acc[h][r]);
    }
  if (j < s.n) {
    V y = loadB(b + j);
    UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[0][r] =
        fma(load(a + r * s.lda + j), y, acc[0][r]);
  }
  UOE_UNROLL for (int r = 0; r < Rows; ++r) out[r] = sum(acc[0][r] + acc[1][r]);
}
template <typename B> void dotRows(const SparseRows &s) {
  const int64_t ahead = 2048 / (s.n + 1) + 1;
  for (int64_t i = 0; i < s.count; ++i) {
    int64_t r = 0, next = i + ahead < s.count ? i + ahead : i;
    for (; r + 4 <= s.m; r += 4)
      dotRowsOf<B, 4>(s, s.a + r * s.lda, s.c + i * s.m + r, i, next);
    for (; r < s.m; ++r)
      dotRowsOf<B, 1>(s, s.a + r * s.lda, s.c + i * s.m + r, i, next);
  }
}

/// out = x - mean where |x - mean| * scale > threshold, else 0; returns how many. mean and scale
/// may be null.
inline int64_t keepRow(const float *x, const float *mean, const float *scale, float threshold,
                       int64_t n, float *out) {
  const V limit = set1(threshold), zero = set1(0.0f);
  int64_t kept = 0;
  forLanes(n, [&](int64_t i, int64_t count) {
    V v = loadN(x + i, count);
    if (mean)
      v = v - loadN(mean + i, count);
    if (scale) {
      M keep = less(limit, abs(v) * loadN(scale + i, count));
      v = select(keep, v, zero);
      kept += __builtin_popcount(bits(keep) & ((1u << count) - 1u));
    } else {
      kept += count;
    }
    storeN(out + i, v, count);
  });
  return kept;
}
/// x = x * (y + z)
inline void multiplyRow(float *x, const float *y, const float *z, int64_t n) {
  forLanes(n, [&](int64_t i, int64_t count) {
    storeN(x + i, loadN(x + i, count) * (loadN(y + i, count) + loadN(z + i, count)), count);
  });
}

} // namespace uoe::rt::fast::UOE_SIMD
