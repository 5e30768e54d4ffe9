// Products with weights in 4 or 8 bits. The layout is described at QuantizedMatrix.
#pragma once
#include "MicroGemm.h"

namespace uoe::rt::fast::UOE_SIMD {

constexpr int quantPanels = registers == 32 ? 2 : 1;

template <int Rows, int Panels>
UOE_INLINE void quantStep(V (&part)[Rows][Panels], const V (&q)[Panels], const float *const *a,
                          int64_t k) {
  UOE_UNROLL for (int r = 0; r < Rows; ++r) {
    V x = set1(a[r][k]);
    UOE_UNROLL for (int p = 0; p < Panels; ++p) part[r][p] = fma(x, q[p], part[r][p]);
  }
}

template <int J, int Rows, int Panels>
UOE_INLINE void quantWord(V (&part)[Rows][Panels], const I (&words)[Panels], const float *const *a,
                          int64_t k) {
  if constexpr (J < 8) {
    V q[Panels];
    UOE_UNROLL for (int p = 0; p < Panels; ++p) q[p] = nibbleInPlace<J>(words[p]);
    quantStep<Rows, Panels>(part, q, a, k + J);
    quantWord<J + 1, Rows, Panels>(part, words, a, k);
  }
}

template <int Bits, int Rows, int Panels> void quantOnce(const QuantTile &t, int64_t from) {
  const QuantPanels &w = t.w;
  const float *a[Rows];
  UOE_UNROLL for (int r = 0; r < Rows; ++r) a[r] = t.rows[r];
  V acc[Rows][Panels];
  UOE_UNROLL for (int p = 0; p < Panels; ++p) {
    V shift = t.shift ? load(t.shift + (from + p) * lanes) : set1(0.0f);
    UOE_UNROLL for (int r = 0; r < Rows; ++r) {
      V start = t.accumulate ? load(t.out[r] + (from + p) * lanes) : set1(0.0f);
      acc[r][p] = start - shift;
    }
  }
  const uint8_t *b = w.b + from * w.panelBytes;
  const int64_t head = w.hasZeros ? 128 : 64;
  const bool shifted = Bits == 4 || w.hasZeros;
  for (int64_t i = 0; i < t.blocks; ++i, b += w.blockBytes) {
    V part[Rows][Panels];
    UOE_UNROLL for (int r = 0; r < Rows; ++r) UOE_UNROLL for (int p = 0; p < Panels; ++p)
        part[r][p] = set1(0.0f);
    const int64_t k0 = i * w.block;
    // Panels are short streams: the next ones are asked for while these are used.
    UOE_UNROLL for (int p = 0; p < Panels; ++p) for (int64_t at = 0; at < w.blockBytes; at += 64)
        prefetch(b + (p + Panels) * w.panelBytes + at);
    if constexpr (Bits == 4) {
      for (int64_t k = 0; k < w.block; k += 8) {
        I words[Panels];
        UOE_UNROLL for (int p = 0; p < Panels; ++p) words[p] =
            loadWords(reinterpret_cast<const uint32_t *>(b + p * w.panelBytes + head + k * 8));
        quantWord<0, Rows, Panels>(part, words, a, k0 + k);
      }
    } else {
      for (int64_t k = 0; k < w.block; ++k) {
        V q[Panels];
        UOE_UNROLL for (int p = 0; p < Panels; ++p) q[p] =
            loadI8(reinterpret_cast<const int8_t *>(b + p * w.panelBytes + head + k * 16));
        quantStep<Rows, Panels>(part, q, a, k0 + k);
      }
    }
    UOE_UNROLL for (int p = 0; p < Panels; ++p) {
      const float *heads = reinterpret_cast<const float *>(b + p * w.panelBytes);
      V scale = load(heads);
      V zero = w.hasZeros ? load(heads + 16) : set1(8.0f);
      UOE_UNROLL for (int r = 0; r < Rows; ++r) {
        V sum = shifted ? fnma(zero, set1(t.sums[r][i]), part[r][p]) : part[r][p];
        acc[r][p] = fma(scale, sum, acc[r][p]);
      }
    }
  }
  UOE_UNROLL for (int r = 0; r < Rows; ++r) UOE_UNROLL for (int p = 0; p < Panels; ++p)
      store(t.out[r] + (from + p) * lanes, acc[r][p]);
}

template <int Bits, int Rows> void quantSweep(const QuantTile &t) {
  int64_t p = 0;
  for (; p + quantPanels <= t.panels; p += quantPanels)
    quantOnce<Bits, Rows, quantPanels>(t, p);
  for (; p < t.panels; ++p)
    quantOnce<Bits, Rows, 1>(t, p);
}

template <int Bits> void quantRows(const QuantTile &t) {
  switch (t.m) {
  case 1:
    return quantSweep<Bits, 1>(t);
  case 2:
    return quantSweep<Bits, 2>(t);
  case 3:
    return quantSweep<Bits, 3>(t);
  case 4:
    return quantSweep<Bits, 4>(t);
  }
}
inline void quantTile(const QuantTile &t) {
  t.w.bits == 4 ? quantRows<4>(t) : quantRows<8>(t);
}

template <int J> UOE_INLINE void widenWord(I words, V scale, V zero, float *out, int64_t step) {
  if constexpr (J < 8) {
    store(out + J * step, (nibble<J>(words) - zero) * scale);
    widenWord<J + 1>(words, scale, zero, out, step);
  }
}

inline void widenPanel(const QuantPanels &w, int64_t blocks, float *out, int64_t step) {
  const uint8_t *b = w.b;
  const int64_t head = w.hasZeros ? 128 : 64;
  for (int64_t i = 0; i < blocks; ++i, b += w.blockBytes) {
    const float *heads = reinterpret_cast<const float *>(b);
    V scale = load(heads), zero = w.hasZeros ? load(heads + 16) : set1(w.bits == 4 ? 8.0f : 0.0f);
    if (w.bits == 4)
      for (int64_t k = 0; k < w.block; k += 8, out += 8 * step)
        widenWord<0>(loadWords(reinterpret_cast<const uint32_t *>(b + head + k * 8)), scale, zero,
                     out, step);
    else
      for (int64_t k = 0; k < w.block; ++k, out += step)
        store(out, (loadI8(reinterpret_cast<const int8_t *>(b + head + k * 16)) - zero) * scale);
  }
}

} // namespace uoe::rt::fast::UOE_SIMD
