// Products with chosen rows of a matrix, for few tokens: bound by reading those rows.
#pragma once
#include "Simd.h"

namespace uoe::rt::fast::UOE_SIMD {

/// See SparseRows in Table.h. Four rows of b at a time: the sums in L1 are touched once for four.
template <int Rows> void addRowsOf(const SparseRows &s) {
  constexpr int side = 4;
  int64_t i = 0;
  auto run = [&](auto width, int64_t ahead) {
    constexpr int w = decltype(width)::value;
    const float *b[w], *next[w];
    UOE_UNROLL for (int c = 0; c < w; ++c) {
      b[c] = s.b + s.index[i + c] * s.ldb;
      next[c] = s.b + s.index[i + c + ahead] * s.ldb;
    }
    const float *a = s.a + i * Rows;
    for (int64_t j = 0; j < s.n; j += lanes) {
      V row[w];
      UOE_UNROLL for (int c = 0; c < w; ++c) {
        row[c] = load(b[c] + j);
        prefetch(next[c] + j);
      }
      UOE_UNROLL for (int r = 0; r < Rows; ++r) {
        V sum = load(s.c + r * s.ldc + j);
        UOE_UNROLL for (int c = 0; c < w; ++c) sum = fma(set1(a[c * Rows + r]), row[c], sum);
        store(s.c + r * s.ldc + j, sum);
      }
    }
  };
  for (; i + 2 * side <= s.count; i += side)
    run(Count<side>(), side);
  for (; i + side <= s.count; i += side)
    run(Count<side>(), 0);
  for (; i < s.count; ++i)
    run(Count<1>(), 0);
}

inline void addRows(const SparseRows &s) {
  switch (s.m) {
  case 1:
    return addRowsOf<1>(s);
  case 2:
    return addRowsOf<2>(s);
  case 3:
    return addRowsOf<3>(s);
  case 4:
    return addRowsOf<4>(s);
  case 5:
    return addRowsOf<5>(s);
  case 6:
    return addRowsOf<6>(s);
  case 7:
    return addRowsOf<7>(s);
  case 8:
    return addRowsOf<8>(s);
  }
}

/// out[i * m + r] = a[r] . b[index[i]], for rows of n floats (a multiple of 16).
template <int Rows>
UOE_INLINE void dotRowsOf(const SparseRows &s, const float *a, float *out, int64_t i,
                          int64_t next) {
  V acc[2][Rows];
  UOE_UNROLL for (int h = 0; h < 2; ++h) UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[h][r] =
      set1(0.0f);
  const float *b = s.b + s.index[i] * s.ldb, *ahead = s.b + s.index[next] * s.ldb;
  int64_t j = 0;
  for (; j + 2 * lanes <= s.n; j += 2 * lanes)
    UOE_UNROLL for (int h = 0; h < 2; ++h) {
      V y = load(b + j + h * lanes);
      prefetch(ahead + j + h * lanes);
      UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[h][r] =
          fma(load(a + r * s.lda + j + h * lanes), y, acc[h][r]);
    }
  if (j < s.n) {
    V y = load(b + j);
    UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[0][r] =
        fma(load(a + r * s.lda + j), y, acc[0][r]);
  }
  UOE_UNROLL for (int r = 0; r < Rows; ++r) out[r] = sum(acc[0][r] + acc[1][r]);
}
inline void dotRows(const SparseRows &s) {
  for (int64_t i = 0; i < s.count; ++i) {
    int64_t r = 0, next = i + 2 < s.count ? i + 2 : i;
    for (; r + 4 <= s.m; r += 4)
      dotRowsOf<4>(s, s.a + r * s.lda, s.c + i * s.m + r, i, next);
    for (; r < s.m; ++r)
      dotRowsOf<1>(s, s.a + r * s.lda, s.c + i * s.m + r, i, next);
  }
}

} // namespace uoe::rt::fast::UOE_SIMD
