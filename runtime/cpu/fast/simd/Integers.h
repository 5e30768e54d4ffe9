// Products of bytes, exact in 32 bits. The layout is described at IntegerMatrix.
#pragma once
#include "Simd.h"
#include "Table.h"
#include <cstring>

namespace uoe::rt::fast::UOE_SIMD {

#if defined(__AVX2__)

/// The four bytes of a row at `a`, which may lie anywhere.
UOE_INLINE int32_t quadAt(const uint8_t *a) {
  int32_t quad;
  std::memcpy(&quad, a, 4);
  return quad;
}

/// Half a register of columns: bytes widened to 16 bits, each four of them to two sums of pairs.
#if defined(__AVX512BW__)
struct Pairs {
  static constexpr int parts = 2;
  using Words = __m512i;
  static UOE_INLINE Words load(const int8_t *b) {
    return _mm512_cvtepi8_epi16(_mm256_load_si256(reinterpret_cast<const __m256i *>(b)));
  }
  static UOE_INLINE Words spread(int32_t quad) {
    return _mm512_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(quad)));
  }
  static UOE_INLINE Words step(Words sum, Words a, Words b) {
    return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b));
  }
};
#else
struct Pairs {
  static constexpr int parts = 4;
  using Words = __m256i;
  static UOE_INLINE Words load(const int8_t *b) {
    return _mm256_cvtepi8_epi16(_mm_load_si128(reinterpret_cast<const __m128i *>(b)));
  }
  static UOE_INLINE Words spread(int32_t quad) {
    return _mm256_broadcastq_epi64(_mm_cvtepu8_epi16(_mm_cvtsi32_si128(quad)));
  }
  static UOE_INLINE Words step(Words sum, Words a, Words b) {
    return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b));
  }
};
#endif

/// The columns' sums, each of two pairs'.
UOE_INLINE void storePairs(int32_t *out, Pairs::Words sum) {
  int32_t pairs[32 / Pairs::parts];
  std::memcpy(pairs, &sum, sizeof(pairs));
  UOE_UNROLL for (int j = 0; j < 16 / Pairs::parts; ++j) out[j] = pairs[2 * j] + pairs[2 * j + 1];
}

template <int Rows> void integerRows(const IntegerTile &t, int64_t r0, int64_t p) {
  Pairs::Words sums[Rows][Pairs::parts] = {};
  const int8_t *b = t.b + p * t.bPanel;
  for (int64_t q = 0; q < t.quads; ++q, b += 64) {
    Pairs::Words columns[Pairs::parts];
    UOE_UNROLL for (int i = 0; i < Pairs::parts; ++i) columns[i] =
        Pairs::load(b + i * (64 / Pairs::parts));
    UOE_UNROLL for (int r = 0; r < Rows; ++r) {
      const Pairs::Words a = Pairs::spread(quadAt(t.a + (r0 + r) * t.lda + 4 * q));
      UOE_UNROLL for (int i = 0; i < Pairs::parts; ++i) sums[r][i] =
          Pairs::step(sums[r][i], a, columns[i]);
    }
  }
  UOE_UNROLL for (int r = 0; r < Rows; ++r) UOE_UNROLL for (int i = 0; i < Pairs::parts; ++i)
      storePairs(t.c + (r0 + r) * t.ldc + p * 16 + i * (16 / Pairs::parts), sums[r][i]);
}

inline void integerTile(const IntegerTile &t) {
  constexpr int rows = 16 / Pairs::parts / 2; // of AVX2 two, of AVX-512 four: sums fill half
  for (int64_t p = 0; p < t.panels; ++p) {
    int64_t r = 0;
    for (; r + rows <= t.m; r += rows)
      integerRows<rows>(t, r, p);
    for (; r < t.m; ++r)
      integerRows<1>(t, r, p);
  }
}

#else

inline void integerTile(const IntegerTile &t) {
  for (int64_t p = 0; p < t.panels; ++p)
    for (int64_t r = 0; r < t.m; ++r) {
      int32_t sums[16] = {};
      const uint8_t *a = t.a + r * t.lda;
      const int8_t *b = t.b + p * t.bPanel;
      for (int64_t q = 0; q < t.quads; ++q, a += 4, b += 64)
        for (int j = 0; j < 16; ++j)
          sums[j] +=
              a[0] * b[4 * j] + a[1] * b[4 * j + 1] + a[2] * b[4 * j + 2] + a[3] * b[4 * j + 3];
      std::memcpy(t.c + r * t.ldc + p * 16, sums, sizeof(sums));
    }
}

#endif

#if defined(__AVX512BW__)
#define UOE_VNNI __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq,avx512vnni")))

template <int Rows, int Panels>
UOE_VNNI void dotRowsOf(const IntegerTile &t, int64_t r0, int64_t p0) {
  __m512i sums[Rows][Panels] = {};
  const int8_t *b = t.b + p0 * t.bPanel;
  const uint8_t *a = t.a + r0 * t.lda;
  for (int64_t q = 0; q < t.quads; ++q, b += 64, a += 4) {
    __m512i columns[Panels];
    UOE_UNROLL for (int p = 0; p < Panels; ++p) columns[p] = _mm512_load_si512(b + p * t.bPanel);
    UOE_UNROLL for (int r = 0; r < Rows; ++r) {
      const __m512i row = _mm512_set1_epi32(quadAt(a + r * t.lda));
      UOE_UNROLL for (int p = 0; p < Panels; ++p) sums[r][p] =
          _mm512_dpbusd_epi32(sums[r][p], row, columns[p]);
    }
  }
  UOE_UNROLL for (int r = 0; r < Rows; ++r) UOE_UNROLL for (int p = 0; p < Panels; ++p)
      _mm512_storeu_si512(t.c + (r0 + r) * t.ldc + (p0 + p) * 16, sums[r][p]);
}

/// Rows of a tile at once, then the rest; few rows take more panels, so that sums follow each other
/// less closely.
template <int Panels> UOE_VNNI void dotPanels(const IntegerTile &t, int64_t p) {
  constexpr int most = Panels == 4 ? 4 : 12;
  int64_t r = 0;
  for (; r + most <= t.m; r += most)
    dotRowsOf<most, Panels>(t, r, p);
  if constexpr (most == 12)
    for (; r + 4 <= t.m; r += 4)
      dotRowsOf<4, Panels>(t, r, p);
  for (; r < t.m; ++r)
    dotRowsOf<1, Panels>(t, r, p);
}

inline void dotTileOfBytes(const IntegerTile &t) {
  int64_t p = 0;
  if (t.m <= 4)
    for (; p + 4 <= t.panels; p += 4)
      dotPanels<4>(t, p);
  for (; p + 2 <= t.panels; p += 2)
    dotPanels<2>(t, p);
  for (; p < t.panels; ++p)
    dotPanels<1>(t, p);
}
constexpr void (*integerDots)(const IntegerTile &) = dotTileOfBytes;
#else
constexpr void (*integerDots)(const IntegerTile &) = nullptr;
#endif

} // namespace uoe::rt::fast::UOE_SIMD
