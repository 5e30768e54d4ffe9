// Rows of scores: scaling, capping, masking, exponentials.
#pragma once
#include "Math.h"

namespace uoe::rt::fast::UOE_SIMD {

template <bool HasBias, bool HasMask, bool HasCap> float scoreRowAs(const ScoreRow &s) {
  const V scale = set1(s.scale), lowest = set1(-__builtin_inff());
  const V cap = set1(s.softcap), inverse = set1(HasCap ? 1.0f / s.softcap : 0.0f);
  V most = lowest;
  forLanes(s.n, [&](int64_t i, int64_t count) {
    V x = loadN(s.x + i, count) * scale;
    if constexpr (HasCap)
      if (!s.capAfterBias)
        x = cap * tanh(x * inverse);
    if constexpr (HasBias)
      x = x + loadN(s.bias + i, count);
    if constexpr (HasCap)
      if (s.capAfterBias)
        x = cap * tanh(x * inverse);
    if constexpr (HasMask) {
      float keep[lanes];
      for (int64_t j = 0; j < lanes; ++j)
        keep[j] = j < count && s.mask[i + j] ? 1.0f : 0.0f;
      x = select(less(set1(0.0f), load(keep)), x, lowest);
    }
    storeN(s.x + i, x, count);
    if (count < lanes) {
      float full[lanes];
      store(full, lowest);
      storeN(full, x, count);
      x = load(full);
    }
    most = max(x, most);
  });
  return maxOf(most);
}

inline float scoreRow(const ScoreRow &s) {
  bool cap = s.softcap != 0.0f;
  if (s.bias)
    return s.mask ? (cap ? scoreRowAs<true, true, true>(s) : scoreRowAs<true, true, false>(s))
                  : (cap ? scoreRowAs<true, false, true>(s) : scoreRowAs<true, false, false>(s));
  return s.mask ? (cap ? scoreRowAs<false, true, true>(s) : scoreRowAs<false, true, false>(s))
                : (cap ? scoreRowAs<false, false, true>(s) : scoreRowAs<false, false, false>(s));
}

inline float expRow(float *x, int64_t n, float shift) {
  const V by = set1(shift);
  V total = set1(0.0f);
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes) {
    V y = exp(load(x + i) - by);
    store(x + i, y);
    total = total + y;
  }
  if (i < n) {
    float part[lanes] = {};
    storeTail(x + i, exp(loadTail(x + i, n - i) - by), n - i);
    for (int64_t j = 0; i + j < n; ++j)
      part[j] = x[i + j];
    total = total + load(part);
  }
  return sum(total);
}

inline void scaleRow(const float *x, float factor, float *y, int64_t n) {
  const V f = set1(factor);
  forLanes(n, [&](int64_t i, int64_t count) { storeN(y + i, loadN(x + i, count) * f, count); });
}

} // namespace uoe::rt::fast::UOE_SIMD
