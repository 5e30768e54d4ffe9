// What routing to single neurons needs: comparisons as bits, and products of chosen pairs only.
#pragma once
#include "Simd.h"

namespace uoe::rt::fast::UOE_SIMD {

inline void aboveRow(const float *x, const float *limits, float limit, int64_t n, uint16_t *mask) {
  const V one = set1(limit);
  forLanes(n, [&](int64_t i, int64_t count) {
    M above = less(limits ? loadN(limits + i, count) : one, loadN(x + i, count));
    mask[i / lanes] = static_cast<uint16_t>(bits(above) & ((1u << count) - 1u));
  });
}

template <int Rows> UOE_INLINE void listDotsOf(const ListDots &d, int64_t i) {
  V acc[Rows];
  const float *a[Rows];
  UOE_UNROLL for (int r = 0; r < Rows; ++r) {
    acc[r] = set1(0.0f);
    a[r] = d.rows[i + r];
  }
  int64_t j = 0;
  for (; j + lanes <= d.n; j += lanes) {
    V y = load(d.b + j);
    UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[r] = fma(load(a[r] + j), y, acc[r]);
  }
  if (j < d.n) {
    V y = loadN(d.b + j, d.n - j);
    UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[r] = fma(loadN(a[r] + j, d.n - j), y, acc[r]);
  }
  if constexpr (Rows == 4)
    sum4(acc[0], acc[1], acc[2], acc[3], d.out + i);
  else
    UOE_UNROLL for (int r = 0; r < Rows; ++r) d.out[i + r] = sum(acc[r]);
}
inline void listDots(const ListDots &d) {
  int64_t i = 0;
  for (; i + 4 <= d.m; i += 4)
    listDotsOf<4>(d, i);
  for (; i + 2 <= d.m; i += 2)
    listDotsOf<2>(d, i);
  if (i < d.m)
    listDotsOf<1>(d, i);
}

inline int64_t listAbove(const float *x, const float *limits, float limit, int64_t n,
                         int32_t *list) {
  const V one = set1(limit);
  int64_t found = 0, i = 0;
  for (; i + lanes <= n; i += lanes)
    found += storeLanes(list + found, less(limits ? load(limits + i) : one, load(x + i)),
                        static_cast<int32_t>(i));
  for (; i < n; ++i)
    if ((limits ? limits[i] : limit) < x[i])
      list[found++] = static_cast<int32_t>(i);
  return found;
}

/// Rows and columns of a full dot tile: sums, the rows and one column fill the registers.
constexpr int dotTileRows = registers == 32 ? 4 : registers == 8 ? 2 : 1;
constexpr int dotTileColumns = registers == 32 ? 6 : 2;

/// Fetch: the next columns meanwhile, which the hardware does not foresee.
template <int Rows, int Columns, bool Fetch> void dotsOf(const DotTile &t, int64_t r0, int64_t j0) {
  V acc[Rows][Columns];
  const float *a[Rows], *b = t.b + j0 * t.ldb;
  UOE_UNROLL for (int r = 0; r < Rows; ++r) {
    a[r] = t.rows[r0 + r];
    UOE_UNROLL for (int j = 0; j < Columns; ++j) acc[r][j] = set1(0.0f);
  }
  int64_t i = 0;
  for (; i + lanes <= t.k; i += lanes) {
    V x[Rows];
    UOE_UNROLL for (int r = 0; r < Rows; ++r) x[r] = load(a[r] + i);
    UOE_UNROLL for (int j = 0; j < Columns; ++j) {
      if constexpr (Fetch)
        prefetch(b + (Columns + j) * t.ldb + i);
      V y = load(b + j * t.ldb + i);
      UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[r][j] = fma(x[r], y, acc[r][j]);
    }
  }
  if (i < t.k) {
    V x[Rows];
    UOE_UNROLL for (int r = 0; r < Rows; ++r) x[r] = loadN(a[r] + i, t.k - i);
    UOE_UNROLL for (int j = 0; j < Columns; ++j) {
      V y = loadN(b + j * t.ldb + i, t.k - i);
      UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[r][j] = fma(x[r], y, acc[r][j]);
    }
  }
  float *c = t.c + r0 * t.ldc + j0;
  if constexpr (Rows == 4) {
    UOE_UNROLL for (int j = 0; j < Columns; ++j) {
      float sums[4];
      sum4(acc[0][j], acc[1][j], acc[2][j], acc[3][j], sums);
      UOE_UNROLL for (int r = 0; r < 4; ++r) c[r * t.ldc + j] = sums[r];
    }
  } else {
    UOE_UNROLL for (int r = 0; r < Rows; ++r) UOE_UNROLL for (int j = 0; j < Columns; ++j)
        c[r * t.ldc + j] = sum(acc[r][j]);
  }
}
template <int Columns> UOE_INLINE void dotColumn(const DotTile &t, int64_t j) {
  int64_t r = 0;
  if (t.m >= dotTileRows) {
    dotsOf<dotTileRows, Columns, true>(t, 0, j);
    r = dotTileRows;
  }
  for (; r + dotTileRows <= t.m; r += dotTileRows)
    dotsOf<dotTileRows, Columns, false>(t, r, j);
  for (; r < t.m; ++r)
    dotsOf<1, Columns, false>(t, r, j);
}
inline void dotTile(const DotTile &t) {
  int64_t j = 0;
  for (; j + dotTileColumns <= t.n; j += dotTileColumns)
    dotColumn<dotTileColumns>(t, j);
  for (; j < t.n; ++j)
    dotColumn<1>(t, j);
}

template <int Panels> UOE_INLINE void listSumOf(const ListSum &s) {
  V acc[Panels];
  const int64_t rest = s.n - (Panels - 1) * lanes; // of the last panel
  UOE_UNROLL for (int p = 0; p < Panels; ++p) acc[p] =
      p + 1 < Panels ? load(s.c + p * lanes) : loadN(s.c + p * lanes, rest);
  constexpr int64_t ahead = 8;
  for (int64_t i = 0; i < s.count; ++i) {
    const float *b = s.b + s.index[i] * s.ldb;
    const float *next = s.b + s.index[i + ahead < s.count ? i + ahead : i] * s.ldb;
    V a = set1(s.a[i]);
    UOE_UNROLL for (int p = 0; p + 1 < Panels; ++p) {
      prefetch(next + p * lanes);
      acc[p] = fma(a, load(b + p * lanes), acc[p]);
    }
    prefetch(next + (Panels - 1) * lanes);
    acc[Panels - 1] = fma(a, loadN(b + (Panels - 1) * lanes, rest), acc[Panels - 1]);
  }
  UOE_UNROLL for (int p = 0; p < Panels; ++p)
      storeN(s.c + p * lanes, acc[p], p + 1 < Panels ? lanes : rest);
}
inline void listSum(const ListSum &s) {
  switch ((s.n + lanes - 1) / lanes) {
  case 1:
    return listSumOf<1>(s);
  case 2:
    return listSumOf<2>(s);
  case 3:
    return listSumOf<3>(s);
  case 4:
    return listSumOf<4>(s);
  }
}

} // namespace uoe::rt::fast::UOE_SIMD
