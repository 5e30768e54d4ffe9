// Products of sparse operands for many tokens: a panel of weights stays in L1 while the tokens pass
// by, each taking the rows that it chose.
#pragma once
#include "Simd.h"
#include "Table.h"

namespace uoe::rt::fast::UOE_SIMD {

/// Sums that stay in registers beside one broadcast: the widest stripe.
constexpr int stripePanels = registers == 32 ? 12 : registers == 8 ? 6 : 2;
/// Pairs of a token that are summed at once, each load of x serving all of them.
constexpr int pairGroup = registers == 32 ? 8 : registers == 8 ? 4 : 2;

template <int Panels> void sumRowsOf(const SumTile &t) {
  constexpr int64_t width = Panels * lanes;
  for (int64_t r = 0; r < t.m; ++r) {
    V acc[Panels];
    float *c = t.c + r * width;
    UOE_UNROLL for (int p = 0; p < Panels; ++p) acc[p] = load(c + p * lanes);
    const int32_t *bounds = t.start + r * t.lds;
    for (int32_t i = bounds[0], end = bounds[1]; i < end; ++i) {
      const float *b = t.b + (t.index[i] - t.first) * width;
      V a = set1(t.value[i]);
      UOE_UNROLL for (int p = 0; p < Panels; ++p) acc[p] = fma(a, load(b + p * lanes), acc[p]);
    }
    UOE_UNROLL for (int p = 0; p < Panels; ++p) store(c + p * lanes, acc[p]);
  }
}
inline void sumTile(const SumTile &t) {
  static constexpr void (*functions[12])(const SumTile &) = {
      sumRowsOf<1>,
      sumRowsOf<2>,
      sumRowsOf < stripePanels >= 3 ? 3 : 1 >,
      sumRowsOf < stripePanels >= 4 ? 4 : 1 >,
      sumRowsOf < stripePanels >= 5 ? 5 : 1 >,
      sumRowsOf < stripePanels >= 6 ? 6 : 1 >,
      sumRowsOf < stripePanels >= 7 ? 7 : 1 >,
      sumRowsOf < stripePanels >= 8 ? 8 : 1 >,
      sumRowsOf < stripePanels >= 9 ? 9 : 1 >,
      sumRowsOf < stripePanels >= 10 ? 10 : 1 >
      , sumRowsOf < stripePanels >= 11 ? 11 : 1 >, sumRowsOf < stripePanels >= 12 ? 12 : 1 >,
  };
  functions[t.panels - 1](t);
}

/// N pairs of one token from index[0] on; their sums at `sums`.
template <int N>
UOE_INLINE void dotPairs(const PairTile &t, const float *x, const int32_t *index, float *sums,
                         float *out) {
  V acc[N];
  const float *b[N];
  UOE_UNROLL for (int g = 0; g < N; ++g) {
    acc[g] = t.begins ? set1(0.0f) : load(sums + g * lanes);
    b[g] = t.b + (index[g] - t.first) * t.k;
  }
  for (int64_t i = 0; i < t.k; i += lanes) {
    V v = load(x + i);
    UOE_UNROLL for (int g = 0; g < N; ++g) acc[g] = fma(v, load(b[g] + i), acc[g]);
  }
  if (!t.ends) {
    UOE_UNROLL for (int g = 0; g < N; ++g) store(sums + g * lanes, acc[g]);
    return;
  }
  UOE_UNROLL for (int g = 0; g + 4 <= N; g += 4)
      sum4(acc[g], acc[g + 1], acc[g + 2], acc[g + 3], out + g);
  UOE_UNROLL for (int g = N / 4 * 4; g < N; ++g) out[g] = sum(acc[g]);
}
/// n < N pairs.
template <int N>
UOE_INLINE void dotRest(const PairTile &t, int64_t n, const float *x, const int32_t *index,
                        float *sums, float *out) {
  if constexpr (N > 1) {
    if (n == N - 1)
      dotPairs<N - 1>(t, x, index, sums, out);
    else
      dotRest<N - 1>(t, n, x, index, sums, out);
  }
}
inline void pairTile(const PairTile &t) {
  float *sums = t.sums;
  for (int64_t r = 0; r < t.m; ++r) {
    const float *x = t.x + r * t.ldx;
    const int32_t *bounds = t.start + r * t.lds;
    int32_t i = bounds[0];
    const int32_t end = bounds[1];
    for (; i + pairGroup <= end; i += pairGroup, sums += pairGroup * lanes)
      dotPairs<pairGroup>(t, x, t.index + i, sums, t.out + i);
    dotRest<pairGroup>(t, end - i, x, t.index + i, sums, t.out + i);
    sums += (end - i) * lanes;
  }
}

/// See KeptRow.
inline int64_t listKept(const KeptRow &k) {
  const V limit = set1(k.threshold);
  int64_t found = 0, next = 0;
  int32_t *start = k.start;
  forLanes(k.n, [&](int64_t i, int64_t count) {
    if (i == next) {
      *start++ = k.base + static_cast<int32_t>(found);
      next += k.step;
    }
    V v = loadN(k.x + i, count);
    if (k.mean)
      v = v - loadN(k.mean + i, count);
    M keep = less(limit, abs(v) * loadN(k.scale + i, count));
    storeValues(k.value + found, keep, v);
    found += storeLanes(k.index + found, keep, static_cast<int32_t>(i));
  });
  for (; next < k.n + k.step; next += k.step)
    *start++ = k.base + static_cast<int32_t>(found);
  return found;
}

} // namespace uoe::rt::fast::UOE_SIMD
