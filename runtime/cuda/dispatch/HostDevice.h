// Functions that are compiled for host and device from the same source, and what they differ in.
#pragma once
#include "runtime/core/DType.h"
#include <cmath>
#include <cstdint>
#ifdef __CUDACC__
#include <cuda_fp16.h>
#define UOE_HOST_DEVICE __host__ __device__
/// Before loops over a thread's own registers: an index that is no constant puts them into memory.
#define UOE_UNROLL _Pragma("unroll")
/// Before loops whose body is long: unrolled it needs more registers than there are.
#define UOE_NO_UNROLL _Pragma("unroll 1")
#else
#define UOE_HOST_DEVICE
#define UOE_UNROLL
#define UOE_NO_UNROLL
#endif

namespace uoe::rt::cuda {

UOE_HOST_DEVICE inline int countBits(uint64_t word) {
#ifdef __CUDA_ARCH__
  return __popcll(word);
#else
  return __builtin_popcountll(word);
#endif
}

/// The place of the lowest set bit; the word is not 0.
UOE_HOST_DEVICE inline int lowestBit(uint64_t word) {
#ifdef __CUDA_ARCH__
  return __ffsll(static_cast<long long>(word)) - 1;
#else
  return __builtin_ctzll(word);
#endif
}

UOE_HOST_DEVICE inline uint32_t bitsOfFloat(float value) {
#ifdef __CUDA_ARCH__
  return __float_as_uint(value);
#else
  return detail::floatBits(value);
#endif
}

UOE_HOST_DEVICE inline float floatOfBits(uint32_t bits) {
#ifdef __CUDA_ARCH__
  return __uint_as_float(bits);
#else
  return detail::floatOf(bits);
#endif
}

template <typename T> UOE_HOST_DEVICE inline T least(T a, T b) {
  return b < a ? b : a;
}
template <typename T> UOE_HOST_DEVICE inline T most(T a, T b) {
  return a < b ? b : a;
}

/// f(i) for i below n, unrolled on the device.
template <int n, typename F> UOE_HOST_DEVICE inline void unrolled(F &&f) {
  UOE_UNROLL
  for (int i = 0; i < n; ++i)
    f(i);
}
/// The same over two and three indices, the last one innermost.
template <int n, int m, typename F> UOE_HOST_DEVICE inline void unrolled(F &&f) {
  unrolled<n>([&](int i) { unrolled<m>([&](int j) { f(i, j); }); });
}
template <int n, int m, int l, typename F> UOE_HOST_DEVICE inline void unrolled(F &&f) {
  unrolled<n>([&](int i) { unrolled<m, l>([&](int j, int k) { f(i, j, k); }); });
}

/// How many parts of `size` hold n.
template <typename T> UOE_HOST_DEVICE inline T ceilDiv(T n, T size) {
  return (n + size - 1) / size;
}

// Elements as they lie in memory. Arithmetic is done in float.
struct F16 {
  static constexpr bool isBrain = false;
  uint16_t bits;
};
struct BF16 {
  static constexpr bool isBrain = true;
  uint16_t bits;
};

UOE_HOST_DEVICE inline float toFloat(float x) {
  return x;
}
UOE_HOST_DEVICE inline float toFloat(BF16 x) {
  return floatOfBits(static_cast<uint32_t>(x.bits) << 16);
}
UOE_HOST_DEVICE inline float toFloat(F16 x) {
#ifdef __CUDA_ARCH__
  return __half2float(__ushort_as_half(x.bits));
#else
  return detail::halfValue(x.bits);
#endif
}

/// Rounds to nearest even.
template <typename T> UOE_HOST_DEVICE inline T fromFloat(float x);
template <> UOE_HOST_DEVICE inline float fromFloat<float>(float x) {
  return x;
}
template <> UOE_HOST_DEVICE inline BF16 fromFloat<BF16>(float x) {
  const uint32_t bits = bitsOfFloat(x);
  if ((bits & 0x7fffffffu) > 0x7f800000u)
    return {static_cast<uint16_t>((bits >> 16) | 0x40u)};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1)) >> 16)};
}
template <> UOE_HOST_DEVICE inline F16 fromFloat<F16>(float x) {
#ifdef __CUDA_ARCH__
  return {__half_as_ushort(__float2half_rn(x))};
#else
  return {detail::halfBits(x)};
#endif
}

} // namespace uoe::rt::cuda
