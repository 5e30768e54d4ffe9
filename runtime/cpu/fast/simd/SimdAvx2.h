// 16 floats in two AVX2 registers. See Simd.h and SimdAvx512.h for what each function means.
#pragma once
#include <immintrin.h>

namespace uoe::rt::fast::avx2 {

struct V {
  __m256 a, b;
};
struct I {
  __m256i a, b;
};
struct M {
  __m256 a, b;
};
constexpr int registers = 8;

UOE_INLINE V load(const float *p) {
  return {_mm256_loadu_ps(p), _mm256_loadu_ps(p + 8)};
}
UOE_INLINE void store(float *p, V v) {
  _mm256_storeu_ps(p, v.a);
  _mm256_storeu_ps(p + 8, v.b);
}
UOE_INLINE V set1(float x) {
  __m256 v = _mm256_set1_ps(x);
  return {v, v};
}
UOE_INLINE __m256i firstLanes(int64_t n) {
  return _mm256_cmpgt_epi32(_mm256_set1_epi32(static_cast<int>(n)),
                            _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7));
}
UOE_INLINE V loadTail(const float *p, int64_t n) {
  if (n <= 8)
    return {_mm256_maskload_ps(p, firstLanes(n)), _mm256_setzero_ps()};
  return {_mm256_loadu_ps(p), _mm256_maskload_ps(p + 8, firstLanes(n - 8))};
}
UOE_INLINE void storeTail(float *p, V v, int64_t n) {
  if (n <= 8) {
    _mm256_maskstore_ps(p, firstLanes(n), v.a);
  } else {
    _mm256_storeu_ps(p, v.a);
    _mm256_maskstore_ps(p + 8, firstLanes(n - 8), v.b);
  }
}
UOE_INLINE V add(V x, V y) {
  return {_mm256_add_ps(x.a, y.a), _mm256_add_ps(x.b, y.b)};
}
UOE_INLINE V sub(V x, V y) {
  return {_mm256_sub_ps(x.a, y.a), _mm256_sub_ps(x.b, y.b)};
}
UOE_INLINE V mul(V x, V y) {
  return {_mm256_mul_ps(x.a, y.a), _mm256_mul_ps(x.b, y.b)};
}
UOE_INLINE V div(V x, V y) {
  return {_mm256_div_ps(x.a, y.a), _mm256_div_ps(x.b, y.b)};
}
UOE_INLINE V sqrt(V x) {
  return {_mm256_sqrt_ps(x.a), _mm256_sqrt_ps(x.b)};
}
UOE_INLINE V fma(V x, V y, V z) {
  return {_mm256_fmadd_ps(x.a, y.a, z.a), _mm256_fmadd_ps(x.b, y.b, z.b)};
}
UOE_INLINE V fnma(V x, V y, V z) {
  return {_mm256_fnmadd_ps(x.a, y.a, z.a), _mm256_fnmadd_ps(x.b, y.b, z.b)};
}
UOE_INLINE V max(V x, V y) {
  return {_mm256_max_ps(x.a, y.a), _mm256_max_ps(x.b, y.b)};
}
UOE_INLINE V min(V x, V y) {
  return {_mm256_min_ps(x.a, y.a), _mm256_min_ps(x.b, y.b)};
}
UOE_INLINE V abs(V x) {
  __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_andnot_ps(sign, x.a), _mm256_andnot_ps(sign, x.b)};
}
UOE_INLINE V copySign(V x, V s) {
  __m256 sign = _mm256_set1_ps(-0.0f);
  return {_mm256_or_ps(_mm256_andnot_ps(sign, x.a), _mm256_and_ps(sign, s.a)),
          _mm256_or_ps(_mm256_andnot_ps(sign, x.b), _mm256_and_ps(sign, s.b))};
}
UOE_INLINE V round(V x) {
  return {_mm256_round_ps(x.a, 8), _mm256_round_ps(x.b, 8)};
}
UOE_INLINE M less(V x, V y) {
  return {_mm256_cmp_ps(x.a, y.a, _CMP_LT_OQ), _mm256_cmp_ps(x.b, y.b, _CMP_LT_OQ)};
}
UOE_INLINE M isNan(V x) {
  return {_mm256_cmp_ps(x.a, x.a, _CMP_UNORD_Q), _mm256_cmp_ps(x.b, x.b, _CMP_UNORD_Q)};
}
UOE_INLINE V select(M m, V x, V y) {
  return {_mm256_blendv_ps(y.a, x.a, m.a), _mm256_blendv_ps(y.b, x.b, m.b)};
}
UOE_INLINE uint32_t bits(M m) {
  return static_cast<uint32_t>(_mm256_movemask_ps(m.a)) |
         static_cast<uint32_t>(_mm256_movemask_ps(m.b)) << 8;
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
UOE_INLINE I toInt(V x) {
  return {_mm256_cvtps_epi32(x.a), _mm256_cvtps_epi32(x.b)};
}
UOE_INLINE V toFloat(I x) {
  return {_mm256_cvtepi32_ps(x.a), _mm256_cvtepi32_ps(x.b)};
}
UOE_INLINE __m256 powerOfTwo(__m256i n) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(n, _mm256_set1_epi32(127)), 23));
}
UOE_INLINE __m256 scaleHalf(__m256 x, __m256 n) {
  // Two factors, so that results in the subnormals and exponents past 127 are right.
  __m256i whole = _mm256_cvtps_epi32(n), half = _mm256_srai_epi32(whole, 1);
  return _mm256_mul_ps(_mm256_mul_ps(x, powerOfTwo(half)),
                       powerOfTwo(_mm256_sub_epi32(whole, half)));
}
UOE_INLINE V scale(V x, V n) {
  return {scaleHalf(x.a, n.a), scaleHalf(x.b, n.b)};
}
UOE_INLINE void sum4(V x, V y, V z, V w, float *out) {
  __m256 p = _mm256_hadd_ps(_mm256_add_ps(x.a, x.b), _mm256_add_ps(y.a, y.b));
  __m256 q = _mm256_hadd_ps(_mm256_add_ps(z.a, z.b), _mm256_add_ps(w.a, w.b));
  __m256 s = _mm256_hadd_ps(p, q);
  _mm_storeu_ps(out, _mm_add_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1)));
}
/// In the same order as sum4, so that a sum does not depend on its neighbours.
UOE_INLINE float sum(V x) {
  float out[4];
  sum4(x, x, x, x, out);
  return out[0];
}
UOE_INLINE float maxOf(V x) {
  __m256 s = _mm256_max_ps(x.a, x.b);
  __m128 t = _mm_max_ps(_mm256_castps256_ps128(s), _mm256_extractf128_ps(s, 1));
  t = _mm_max_ps(t, _mm_movehl_ps(t, t));
  return _mm_cvtss_f32(_mm_max_ss(t, _mm_shuffle_ps(t, t, 1)));
}

constexpr int block = 8;
UOE_INLINE void transposeBlock(const float *const *rows, int64_t count, int64_t k, float *out,
                               int64_t stride) {
  __m256 r[8], t[8];
  UOE_UNROLL for (int i = 0; i < 8; ++i) r[i] =
      i < count ? _mm256_loadu_ps(rows[i] + k) : _mm256_setzero_ps();
  UOE_UNROLL for (int i = 0; i < 8; i += 2) {
    t[i] = _mm256_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm256_unpackhi_ps(r[i], r[i + 1]);
  }
  UOE_UNROLL for (int i = 0; i < 8; i += 4) {
    UOE_UNROLL for (int j = 0; j < 2; ++j) {
      r[i + 2 * j] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0x44);
      r[i + 2 * j + 1] = _mm256_shuffle_ps(t[i + j], t[i + j + 2], 0xee);
    }
  }
  UOE_UNROLL for (int j = 0; j < 4; ++j) {
    _mm256_storeu_ps(out + j * stride, _mm256_permute2f128_ps(r[j], r[4 + j], 0x20));
    t[j] = _mm256_permute2f128_ps(r[j], r[4 + j], 0x31);
  }
  // In ascending order: the caller may let rows overlap.
  UOE_UNROLL for (int j = 0; j < 4; ++j) _mm256_storeu_ps(out + (4 + j) * stride, t[j]);
}

UOE_INLINE __m256 fromBf16(const uint16_t *p) {
  return _mm256_castsi256_ps(_mm256_slli_epi32(
      _mm256_cvtepu16_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))), 16));
}
UOE_INLINE V loadBf16(const uint16_t *p) {
  return {fromBf16(p), fromBf16(p + 8)};
}
UOE_INLINE V loadF16(const uint16_t *p) {
  return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))),
          _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p + 8)))};
}
UOE_INLINE __m256 fromI8(const int8_t *p) {
  return _mm256_cvtepi32_ps(
      _mm256_cvtepi8_epi32(_mm_loadl_epi64(reinterpret_cast<const __m128i *>(p))));
}
UOE_INLINE V loadI8(const int8_t *p) {
  return {fromI8(p), fromI8(p + 8)};
}
UOE_INLINE I loadWords(const uint32_t *p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)),
          _mm256_loadu_si256(reinterpret_cast<const __m256i *>(p + 8))};
}
template <int J> UOE_INLINE V nibble(I w) {
  const __m256i low = _mm256_set1_epi32(15);
  return toFloat({_mm256_and_si256(_mm256_srli_epi32(w.a, 4 * J), low),
                  _mm256_and_si256(_mm256_srli_epi32(w.b, 4 * J), low)});
}
/// The same times 16^J, up to J = 6: no shift.
template <int J> UOE_INLINE V nibbleInPlace(I w) {
  if constexpr (J == 7)
    return toFloat({_mm256_srli_epi32(w.a, 28), _mm256_srli_epi32(w.b, 28)});
  const __m256i mask = _mm256_set1_epi32(15 << 4 * J);
  return toFloat({_mm256_and_si256(w.a, mask), _mm256_and_si256(w.b, mask)});
}

} // namespace uoe::rt::fast::avx2
