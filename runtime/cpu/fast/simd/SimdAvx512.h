// 16 floats in one AVX-512 register. See Simd.h.
#pragma once
#include <immintrin.h>

namespace uoe::rt::fast::avx512 {

struct V {
  __m512 r;
};
struct I {
  __m512i r;
};
struct M {
  __mmask16 r;
};
constexpr int registers = 32; // vectors of 16 floats that fit in registers

UOE_INLINE V load(const float *p) {
  return {_mm512_loadu_ps(p)};
}
UOE_INLINE void store(float *p, V v) {
  _mm512_storeu_ps(p, v.r);
}
UOE_INLINE V set1(float x) {
  return {_mm512_set1_ps(x)};
}
UOE_INLINE __mmask16 firstLanes(int64_t n) {
  return static_cast<__mmask16>((1u << n) - 1u);
}
UOE_INLINE V loadTail(const float *p, int64_t n) {
  return {_mm512_maskz_loadu_ps(firstLanes(n), p)};
}
UOE_INLINE void storeTail(float *p, V v, int64_t n) {
  _mm512_mask_storeu_ps(p, firstLanes(n), v.r);
}
UOE_INLINE V add(V a, V b) {
  return {_mm512_add_ps(a.r, b.r)};
}
UOE_INLINE V sub(V a, V b) {
  return {_mm512_sub_ps(a.r, b.r)};
}
UOE_INLINE V mul(V a, V b) {
  return {_mm512_mul_ps(a.r, b.r)};
}
UOE_INLINE V div(V a, V b) {
  return {_mm512_div_ps(a.r, b.r)};
}
UOE_INLINE V sqrt(V a) {
  return {_mm512_sqrt_ps(a.r)};
}
/// a * b + c
UOE_INLINE V fma(V a, V b, V c) {
  return {_mm512_fmadd_ps(a.r, b.r, c.r)};
}
/// c - a * b
UOE_INLINE V fnma(V a, V b, V c) {
  return {_mm512_fnmadd_ps(a.r, b.r, c.r)};
}
/// As std::max(a, b) with b returned where either is NaN.
UOE_INLINE V max(V a, V b) {
  return {_mm512_max_ps(a.r, b.r)};
}
UOE_INLINE V min(V a, V b) {
  return {_mm512_min_ps(a.r, b.r)};
}
UOE_INLINE V abs(V a) {
  return {_mm512_abs_ps(a.r)};
}
/// The magnitude of a with the sign of s.
UOE_INLINE V copySign(V a, V s) {
  __m512 sign = _mm512_set1_ps(-0.0f);
  return {_mm512_or_ps(_mm512_andnot_ps(sign, a.r), _mm512_and_ps(sign, s.r))};
}
UOE_INLINE V round(V a) {
  return {_mm512_roundscale_ps(a.r, 8)};
}
UOE_INLINE M less(V a, V b) {
  return {_mm512_cmp_ps_mask(a.r, b.r, _CMP_LT_OQ)};
}
UOE_INLINE M isNan(V a) {
  return {_mm512_cmp_ps_mask(a.r, a.r, _CMP_UNORD_Q)};
}
/// a where m, b elsewhere
UOE_INLINE V select(M m, V a, V b) {
  return {_mm512_mask_blend_ps(m.r, b.r, a.r)};
}
UOE_INLINE uint32_t bits(M m) {
  return m.r;
}
/// first + i for each lane i that is set, in ascending order; their number. Writes 16 places.
UOE_INLINE int storeLanes(int32_t *out, M m, int32_t first) {
  const __m512i lane = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  const uint32_t set = bits(m);
  const __m512i at = _mm512_add_epi32(lane, _mm512_set1_epi32(first));
  _mm512_storeu_si512(out, _mm512_maskz_compress_epi32(static_cast<__mmask16>(set), at));
  return __builtin_popcount(set);
}
/// The lanes of a that are set, side by side. Writes 16 places.
UOE_INLINE void storeValues(float *out, M m, V a) {
  _mm512_storeu_ps(out, _mm512_maskz_compress_ps(m.r, a.r));
}
UOE_INLINE I toInt(V a) {
  return {_mm512_cvtps_epi32(a.r)};
}
UOE_INLINE V toFloat(I a) {
  return {_mm512_cvtepi32_ps(a.r)};
}
/// a * 2^n for an integer-valued n; right into the subnormals.
UOE_INLINE V scale(V a, V n) {
  return {_mm512_scalef_ps(a.r, n.r)};
}
/// The four lanes of 128 bits added up.
UOE_INLINE __m128 foldLanes(__m512 x) {
  __m256 y = _mm256_add_ps(_mm512_castps512_ps256(x), _mm512_extractf32x8_ps(x, 1));
  return _mm_add_ps(_mm256_castps256_ps128(y), _mm256_extractf128_ps(y, 1));
}
/// In the same order as sum4, so that a sum does not depend on its neighbours.
UOE_INLINE float sum(V a) {
  __m512 x = _mm512_add_ps(a.r, _mm512_permute_ps(a.r, 0x4e));
  return _mm_cvtss_f32(foldLanes(_mm512_add_ps(x, _mm512_permute_ps(x, 0xb1))));
}
UOE_INLINE void sum4(V a, V b, V c, V d, float *out) {
  __m512 x = _mm512_add_ps(_mm512_unpacklo_ps(a.r, b.r), _mm512_unpackhi_ps(a.r, b.r));
  __m512 y = _mm512_add_ps(_mm512_unpacklo_ps(c.r, d.r), _mm512_unpackhi_ps(c.r, d.r));
  __m512d p = _mm512_castps_pd(x), q = _mm512_castps_pd(y);
  _mm_storeu_ps(out, foldLanes(_mm512_add_ps(_mm512_castpd_ps(_mm512_unpacklo_pd(p, q)),
                                             _mm512_castpd_ps(_mm512_unpackhi_pd(p, q)))));
}
UOE_INLINE float maxOf(V a) {
  return _mm512_reduce_max_ps(a.r);
}

/// Rows and columns of one in-register transposition.
constexpr int block = 16;
/// out[j * stride + i] = rows[i][k + j] for i, j < block, rows from `count` on taken as 0.
UOE_INLINE void transposeBlock(const float *const *rows, int64_t count, int64_t k, float *out,
                               int64_t stride) {
  __m512 r[16], t[16];
  UOE_UNROLL for (int i = 0; i < 16; ++i) r[i] =
      i < count ? _mm512_loadu_ps(rows[i] + k) : _mm512_setzero_ps();
  UOE_UNROLL for (int i = 0; i < 16; i += 2) {
    t[i] = _mm512_unpacklo_ps(r[i], r[i + 1]);
    t[i + 1] = _mm512_unpackhi_ps(r[i], r[i + 1]);
  }
  UOE_UNROLL for (int i = 0; i < 16; i += 4) {
    UOE_UNROLL for (int j = 0; j < 2; ++j) {
      __m512d a = _mm512_castps_pd(t[i + j]), b = _mm512_castps_pd(t[i + j + 2]);
      r[i + 2 * j] = _mm512_castpd_ps(_mm512_unpacklo_pd(a, b));
      r[i + 2 * j + 1] = _mm512_castpd_ps(_mm512_unpackhi_pd(a, b));
    }
  }
  // Now r[4 g + j] holds columns j, 4 + j, 8 + j, 12 + j of rows 4 g .. 4 g + 3.
  UOE_UNROLL for (int j = 0; j < 4; ++j) {
    __m512 a = _mm512_shuffle_f32x4(r[j], r[4 + j], 0x88);
    __m512 b = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0x88);
    __m512 c = _mm512_shuffle_f32x4(r[j], r[4 + j], 0xdd);
    __m512 d = _mm512_shuffle_f32x4(r[8 + j], r[12 + j], 0xdd);
    t[j] = _mm512_shuffle_f32x4(a, b, 0x88);
    t[8 + j] = _mm512_shuffle_f32x4(a, b, 0xdd);
    t[4 + j] = _mm512_shuffle_f32x4(c, d, 0x88);
    t[12 + j] = _mm512_shuffle_f32x4(c, d, 0xdd);
  }
  UOE_UNROLL for (int j = 0; j < 16; ++j) _mm512_storeu_ps(out + j * stride, t[j]);
}

/// 16 bfloat16 as float.
UOE_INLINE V loadBf16(const uint16_t *p) {
  __m512i wide = _mm512_cvtepu16_epi32(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)));
  return {_mm512_castsi512_ps(_mm512_slli_epi32(wide, 16))};
}
/// 16 IEEE half floats as float.
UOE_INLINE V loadF16(const uint16_t *p) {
  return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i *>(p)))};
}
/// 16 signed bytes as float.
UOE_INLINE V loadI8(const int8_t *p) {
  return {_mm512_cvtepi32_ps(
      _mm512_cvtepi8_epi32(_mm_loadu_si128(reinterpret_cast<const __m128i *>(p))))};
}
/// 16 words of eight 4-bit numbers each; nibble j of word i belongs to lane i.
UOE_INLINE I loadWords(const uint32_t *p) {
  return {_mm512_loadu_si512(p)};
}
template <int J> UOE_INLINE V nibble(I words) {
  // vpermps looks at the low four bits of each index only: no masking needed.
  const __m512 table = _mm512_setr_ps(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
  __m512i index = J ? _mm512_srli_epi32(words.r, 4 * J) : words.r;
  return {_mm512_permutexvar_ps(index, table)};
}
/// The same times 16^J, up to J = 6: what other sets do without a shift.
template <int J> UOE_INLINE V nibbleInPlace(I words) {
  if constexpr (J == 7)
    return toFloat({_mm512_srli_epi32(words.r, 28)});
  return toFloat({_mm512_and_si512(words.r, _mm512_set1_epi32(15 << 4 * J))});
}

} // namespace uoe::rt::fast::avx512
