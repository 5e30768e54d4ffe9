// 16 floats in four vectors of the compilers' vector extension, for machines of any kind. See
// Simd.h and SimdAvx512.h for what each function means.
#pragma once

namespace uoe::rt::fast::portable {

typedef float F4 __attribute__((vector_size(16)));
typedef int32_t I4 __attribute__((vector_size(16)));

struct V {
  F4 r[4];
};
struct I {
  I4 r[4];
};
struct M {
  I4 r[4];
};
constexpr int registers = 4;

#define UOE_EACH for (int i = 0; i < 4; ++i)
UOE_INLINE V load(const float *p) {
  V v;
  memcpy(&v, p, sizeof v);
  return v;
}
UOE_INLINE void store(float *p, V v) {
  memcpy(p, &v, sizeof v);
}
UOE_INLINE F4 splat(float x) {
  return F4{x, x, x, x};
}
UOE_INLINE I4 splat(int32_t x) {
  return I4{x, x, x, x};
}
UOE_INLINE V set1(float x) {
  return {{splat(x), splat(x), splat(x), splat(x)}};
}
UOE_INLINE V loadTail(const float *p, int64_t n) {
  float buffer[16] = {};
  for (int64_t i = 0; i < n; ++i)
    buffer[i] = p[i];
  return load(buffer);
}
UOE_INLINE void storeTail(float *p, V v, int64_t n) {
  float buffer[16];
  store(buffer, v);
  for (int64_t i = 0; i < n; ++i)
    p[i] = buffer[i];
}
UOE_INLINE V add(V a, V b) {
  UOE_EACH a.r[i] += b.r[i];
  return a;
}
UOE_INLINE V sub(V a, V b) {
  UOE_EACH a.r[i] -= b.r[i];
  return a;
}
UOE_INLINE V mul(V a, V b) {
  UOE_EACH a.r[i] *= b.r[i];
  return a;
}
UOE_INLINE V div(V a, V b) {
  UOE_EACH a.r[i] /= b.r[i];
  return a;
}
UOE_INLINE V sqrt(V a) {
  UOE_EACH for (int j = 0; j < 4; ++j) a.r[i][j] = __builtin_sqrtf(a.r[i][j]);
  return a;
}
UOE_INLINE V fma(V a, V b, V c) {
  UOE_EACH c.r[i] += a.r[i] * b.r[i];
  return c;
}
UOE_INLINE V fnma(V a, V b, V c) {
  UOE_EACH c.r[i] -= a.r[i] * b.r[i];
  return c;
}
UOE_INLINE F4 choose(I4 m, F4 a, F4 b) {
  return (F4)((m & (I4)a) | (~m & (I4)b));
}
UOE_INLINE V max(V a, V b) {
  UOE_EACH a.r[i] = choose(a.r[i] > b.r[i], a.r[i], b.r[i]);
  return a;
}
UOE_INLINE V min(V a, V b) {
  UOE_EACH a.r[i] = choose(a.r[i] < b.r[i], a.r[i], b.r[i]);
  return a;
}
UOE_INLINE V abs(V a) {
  UOE_EACH a.r[i] = (F4)((I4)a.r[i] & splat(0x7fffffff));
  return a;
}
UOE_INLINE V copySign(V a, V s) {
  UOE_EACH a.r[i] =
      (F4)(((I4)a.r[i] & splat(0x7fffffff)) | ((I4)s.r[i] & splat(int32_t(0x80000000u))));
  return a;
}
/// To the nearest integer, ties to even; right for |a| < 2^22, which is all that exp needs.
UOE_INLINE V round(V a) {
  const F4 magic = splat(12582912.0f);
  UOE_EACH a.r[i] = (a.r[i] + magic) - magic;
  return a;
}
UOE_INLINE M less(V a, V b) {
  M m;
  UOE_EACH m.r[i] = (I4)(a.r[i] < b.r[i]);
  return m;
}
UOE_INLINE M isNan(V a) {
  M m;
  UOE_EACH m.r[i] = (I4)(a.r[i] != a.r[i]);
  return m;
}
UOE_INLINE V select(M m, V a, V b) {
  UOE_EACH a.r[i] = choose(m.r[i], a.r[i], b.r[i]);
  return a;
}
UOE_INLINE uint32_t bits(M m) {
  uint32_t out = 0;
  UOE_EACH for (int j = 0; j < 4; ++j) out |= (m.r[i][j] ? 1u : 0u) << (4 * i + j);
  return out;
}
/// first + i for each lane i that is set, in ascending order; their number. Writes 16 places.
UOE_INLINE int storeLanes(int32_t *out, M m, int32_t first) {
  int count = 0;
  for (uint32_t rest = bits(m); rest; rest &= rest - 1)
    out[count++] = first + __builtin_ctz(rest);
  return count;
}
/// The lanes of a that are set, side by side.
UOE_INLINE void storeValues(float *out, M m, V a) {
  float all[16];
  store(all, a);
  for (uint32_t rest = bits(m); rest; rest &= rest - 1)
    *out++ = all[__builtin_ctz(rest)];
}
UOE_INLINE I toInt(V a) {
  I n;
  UOE_EACH n.r[i] = __builtin_convertvector(a.r[i], I4);
  return n;
}
UOE_INLINE V toFloat(I n) {
  V a;
  UOE_EACH a.r[i] = __builtin_convertvector(n.r[i], F4);
  return a;
}
UOE_INLINE F4 powerOfTwo(I4 n) {
  return (F4)((n + splat(127)) << splat(23));
}
UOE_INLINE V scale(V a, V n) {
  I whole = toInt(n);
  UOE_EACH {
    I4 half = whole.r[i] >> splat(1);
    a.r[i] = a.r[i] * powerOfTwo(half) * powerOfTwo(whole.r[i] - half);
  }
  return a;
}
UOE_INLINE float sum(V a) {
  F4 s = (a.r[0] + a.r[2]) + (a.r[1] + a.r[3]);
  return (s[0] + s[2]) + (s[1] + s[3]);
}
UOE_INLINE void sum4(V a, V b, V c, V d, float *out) {
  out[0] = sum(a);
  out[1] = sum(b);
  out[2] = sum(c);
  out[3] = sum(d);
}
UOE_INLINE float maxOf(V a) {
  float m = a.r[0][0];
  UOE_EACH for (int j = 0; j < 4; ++j) m = a.r[i][j] > m ? a.r[i][j] : m;
  return m;
}

constexpr int block = 4;
UOE_INLINE void transposeBlock(const float *const *rows, int64_t count, int64_t k, float *out,
                               int64_t stride) {
  for (int j = 0; j < block; ++j)
    for (int i = 0; i < block; ++i)
      out[j * stride + i] = i < count ? rows[i][k + j] : 0.0f;
}

UOE_INLINE V loadBf16(const uint16_t *p) {
  uint32_t wide[16];
  for (int i = 0; i < 16; ++i)
    wide[i] = uint32_t(p[i]) << 16;
  V v;
  memcpy(&v, wide, sizeof v);
  return v;
}
/// Finite ones alone: packed weights in this type are.
UOE_INLINE V loadF16(const uint16_t *p) {
  float wide[16];
  for (int i = 0; i < 16; ++i) {
    // The exponent's bias differs by 112; the product also makes subnormal numbers normal.
    const uint32_t magnitude = uint32_t(p[i] & 0x7fff) << 13, sign = uint32_t(p[i] & 0x8000) << 16;
    float value;
    memcpy(&value, &magnitude, sizeof value);
    value *= 0x1p112f;
    uint32_t bits;
    memcpy(&bits, &value, sizeof bits);
    bits |= sign;
    memcpy(&wide[i], &bits, sizeof bits);
  }
  V v;
  memcpy(&v, wide, sizeof v);
  return v;
}
UOE_INLINE V loadI8(const int8_t *p) {
  float wide[16];
  for (int i = 0; i < 16; ++i)
    wide[i] = p[i];
  return load(wide);
}
UOE_INLINE I loadWords(const uint32_t *p) {
  I v;
  memcpy(&v, p, sizeof v);
  return v;
}
template <int J> UOE_INLINE V nibble(I w) {
  UOE_EACH w.r[i] = (w.r[i] >> splat(4 * J)) & splat(15);
  return toFloat(w);
}
/// The same times 16^J, up to J = 6.
template <int J> UOE_INLINE V nibbleInPlace(I w) {
  UOE_EACH w.r[i] =
      J == 7 ? (w.r[i] >> splat(28)) & splat(15) : w.r[i] & splat(J == 7 ? 0 : 15 << 4 * J);
  return toFloat(w);
}
#undef UOE_EACH

} // namespace uoe::rt::fast::portable
