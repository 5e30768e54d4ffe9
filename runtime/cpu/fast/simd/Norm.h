// Normalisation of one row, rotation of one head.
#pragma once
#include "Math.h"

namespace uoe::rt::fast::UOE_SIMD {

template <typename F> UOE_INLINE float sumOver(int64_t n, F &&term) {
  V total[4] = {set1(0.0f), set1(0.0f), set1(0.0f), set1(0.0f)};
  int64_t i = 0;
  for (; i + 4 * lanes <= n; i += 4 * lanes)
    UOE_UNROLL for (int j = 0; j < 4; ++j) total[j] = total[j] + term(i + j * lanes, lanes);
  forLanes(n - i, [&](int64_t j, int64_t count) { total[0] = total[0] + term(i + j, count); });
  return sum((total[0] + total[1]) + (total[2] + total[3]));
}

inline void normRow(const NormRow &r) {
  const float *x = r.x;
  if (r.skip || r.skipBias || r.sum) {
    // The sum goes where it is wanted, else where the result will be.
    float *to = r.sum ? r.sum : r.y;
    forLanes(r.n, [&](int64_t i, int64_t count) {
      V v = loadN(x + i, count);
      if (r.skip)
        v = v + loadN(r.skip + i, count);
      if (r.skipBias)
        v = v + loadN(r.skipBias + i, count);
      storeN(to + i, v, count);
    });
    x = to;
  }
  const float n = static_cast<float>(r.n);
  float mean = 0;
  if (!r.rms)
    mean = sumOver(r.n, [&](int64_t i, int64_t count) { return loadN(x + i, count); }) / n;
  const V center = set1(mean);
  float squares = sumOver(r.n, [&](int64_t i, int64_t count) {
    V d = loadN(x + i, count) - center;
    if (count < lanes) { // lanes past the end are 0 before the mean is taken off
      float part[lanes] = {};
      storeTail(part, d, count);
      d = load(part);
    }
    return d * d;
  });
  const float inverse = 1.0f / __builtin_sqrtf(squares / n + r.eps);
  if (r.mean)
    *r.mean = mean;
  if (r.inverse)
    *r.inverse = inverse;
  const V scale = set1(inverse);
  forLanes(r.n, [&](int64_t i, int64_t count) {
    V v = (loadN(x + i, count) - center) * scale;
    if (r.gamma)
      v = v * loadN(r.gamma + i, count);
    if (r.beta)
      v = v + loadN(r.beta + i, count);
    storeN(r.y + i, v, count);
  });
}

inline float maxRow(const float *x, int64_t n) {
  V most = set1(-__builtin_inff());
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    most = max(load(x + i), most);
  float result = maxOf(most);
  for (; i < n; ++i)
    result = x[i] > result ? x[i] : result;
  return result;
}

inline void rotateHead(const float *x, float *y, const float *cos, const float *sin, int64_t half,
                       bool interleaved) {
  if (interleaved) {
    for (int64_t i = 0; i < half; ++i) {
      float a = x[2 * i], b = x[2 * i + 1];
      y[2 * i] = a * cos[i] - b * sin[i];
      y[2 * i + 1] = b * cos[i] + a * sin[i];
    }
    return;
  }
  forLanes(half, [&](int64_t i, int64_t count) {
    V a = loadN(x + i, count), b = loadN(x + half + i, count);
    V c = loadN(cos + i, count), s = loadN(sin + i, count);
    storeN(y + i, a * c - b * s, count);
    storeN(y + half + i, b * c + a * s, count);
  });
}

} // namespace uoe::rt::fast::UOE_SIMD
