// A vector of 16 floats for every instruction set: one AVX-512 register, two of AVX2, four of the
// portable kind. Included only by the translation units that are compiled for one instruction set;
// everything lives in a namespace of that set, so that the linker can never take a function of a
// wider set for a narrower machine. For the same reason those units include no C++ library header
// with code in it.
#pragma once
#include <stdint.h>
#include <string.h>

#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#define UOE_SIMD avx512
#elif defined(__AVX2__) && defined(__FMA__)
#define UOE_SIMD avx2
#else
#define UOE_SIMD portable
#endif

#define UOE_INLINE inline __attribute__((always_inline))
#if defined(__clang__)
#define UOE_UNROLL _Pragma("unroll")
#define UOE_UNROLL4 _Pragma("unroll 4")
#else
#define UOE_UNROLL _Pragma("GCC unroll 32")
#define UOE_UNROLL4 _Pragma("GCC unroll 4")
#endif

namespace uoe::rt::fast::UOE_SIMD {
constexpr int64_t lanes = 16;
}

#if defined(__AVX512F__) && defined(__AVX512VL__) && defined(__AVX512BW__) && defined(__AVX512DQ__)
#include "SimdAvx512.h"
#elif defined(__AVX2__) && defined(__FMA__)
#include "SimdAvx2.h"
#else
#include "SimdPortable.h"
#endif

namespace uoe::rt::fast::UOE_SIMD {

/// Into L2: the first level has too few outstanding misses to cover memory's latency.
UOE_INLINE void prefetch(const void *p) {
  __builtin_prefetch(p, 0, 2);
}

UOE_INLINE V operator+(V a, V b) {
  return add(a, b);
}
UOE_INLINE V operator-(V a, V b) {
  return sub(a, b);
}
UOE_INLINE V operator*(V a, V b) {
  return mul(a, b);
}
UOE_INLINE V operator/(V a, V b) {
  return div(a, b);
}
UOE_INLINE V neg(V a) {
  return sub(set1(0.0f), a);
}

/// An integer as a type, to call a generic lambda with a constant.
template <int N> struct Count { static constexpr int value = N; };

/// The first n of 16 floats (0 <= n <= 16), the rest 0; nothing is read beyond them.
UOE_INLINE V loadN(const float *p, int64_t n) {
  return n >= lanes ? load(p) : loadTail(p, n);
}
UOE_INLINE void storeN(float *p, V v, int64_t n) {
  if (n >= lanes)
    store(p, v);
  else
    storeTail(p, v, n);
}

/// Runs body(offset, count) over [0, n) in steps of 16; count < 16 in the last step only.
template <typename F> UOE_INLINE void forLanes(int64_t n, F &&body) {
  int64_t i = 0;
  for (; i + lanes <= n; i += lanes)
    body(i, lanes);
  if (i < n)
    body(i, n - i);
}

} // namespace uoe::rt::fast::UOE_SIMD
