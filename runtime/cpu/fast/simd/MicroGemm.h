// The multiply-add tiles. Included by the translation unit of each instruction set.
#pragma once
#include "Simd.h"
#include "Table.h"

namespace uoe::rt::fast::UOE_SIMD {

/// Rows of a full tile and the panels beside each other in it, so that the accumulators, a row of b
/// and one broadcast fill the registers: 14 x 32 (AVX-512), 6 x 16 (AVX2), 3 x 16 (SSE).
constexpr int tileRows = registers == 32 ? 14 : registers == 8 ? 6 : 3;
constexpr int tilePanels = registers == 32 ? 2 : 1;

/// Panels side by side in a tile of m rows. Few rows take more panels: enough independent chains to
/// hide the latency of a multiply-add, and longer reads.
constexpr int panelsFor(int m) {
  return registers == 32  ? (m <= 3   ? 8
                             : m <= 6 ? 4
                                      : 2)
         : registers == 8 ? (m == 1   ? 4
                             : m <= 3 ? 2
                                      : 1)
                          : (m == 1 ? 2 : 1);
}

UOE_INLINE V loadB(const float *b) {
  return load(b);
}
/// Elements of 16 bits as they lie in a packed weight.
struct Bf16 {
  uint16_t bits;
};
struct F16 {
  uint16_t bits;
};
UOE_INLINE V loadB(const Bf16 *b) {
  return loadBf16(&b->bits);
}
UOE_INLINE V loadB(const F16 *b) {
  return loadF16(&b->bits);
}

struct PackedRows {
  static constexpr bool streams = false;
  const float *a;
  UOE_INLINE float at(int64_t k, int r) const { return a[k * tileRows + r]; }
};
struct PointedRows {
  static constexpr bool streams = true;
  const float *const *rows;
  UOE_INLINE float at(int64_t k, int r) const { return rows[r][k]; }
};

template <int Rows, int Panels, typename B, typename A>
UOE_INLINE void step(V (&acc)[Rows][Panels], A a, int64_t k, const B *b, int64_t bp) {
  if constexpr (Panels <= 2) {
    V row[Panels];
    UOE_UNROLL for (int p = 0; p < Panels; ++p) row[p] = loadB(b + p * bp);
    UOE_UNROLL for (int r = 0; r < Rows; ++r) {
      V x = set1(a.at(k, r));
      UOE_UNROLL for (int p = 0; p < Panels; ++p) acc[r][p] = fma(x, row[p], acc[r][p]);
    }
  } else {
    V x[Rows];
    UOE_UNROLL for (int r = 0; r < Rows; ++r) x[r] = set1(a.at(k, r));
    UOE_UNROLL for (int p = 0; p < Panels; ++p) {
      V row = loadB(b + p * bp);
      UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[r][p] = fma(x[r], row, acc[r][p]);
    }
  }
}

template <int Rows, int Panels, typename B, typename A>
UOE_INLINE void tileOnce(int64_t k, A a, const B *b, int64_t bk, int64_t bp, float *c, int64_t ldc,
                         bool accumulate) {
  V acc[Rows][Panels];
  if (accumulate) {
    UOE_UNROLL for (int r = 0; r < Rows; ++r) UOE_UNROLL for (int p = 0; p < Panels; ++p)
        acc[r][p] = load(c + r * ldc + p * lanes);
  } else {
    UOE_UNROLL for (int r = 0; r < Rows; ++r) UOE_UNROLL for (int p = 0; p < Panels; ++p)
        acc[r][p] = set1(0.0f);
  }
  int64_t i = 0;
  for (; i + 4 <= k; i += 4, b += 4 * bk) {
    UOE_UNROLL for (int j = 0; j < 4; ++j) {
      if constexpr (Rows > 4 && A::streams) {
        UOE_UNROLL for (int p = 0; p < Panels; ++p)
            __builtin_prefetch(b + (Panels + p) * bp + j * bk, 0, 2);
      }
      step<Rows, Panels>(acc, a, i + j, b + j * bk, bp);
    }
  }
  for (; i < k; ++i, b += bk)
    step<Rows, Panels>(acc, a, i, b, bp);
  UOE_UNROLL for (int r = 0; r < Rows; ++r) UOE_UNROLL for (int p = 0; p < Panels; ++p)
      store(c + r * ldc + p * lanes, acc[r][p]);
}

/// All panels of a tile of exactly Rows rows, Panels at a time, then half as many for the rest.
template <int Rows, int Panels, typename B, typename A>
void tileSweep(const Tile &t, A a, int64_t from) {
  const B *b = static_cast<const B *>(t.b);
  for (; from + Panels <= t.panels; from += Panels)
    tileOnce<Rows, Panels>(t.k, a, b + from * t.bp, t.bk, t.bp, t.c + from * lanes, t.ldc,
                           t.accumulate);
  if constexpr (Panels > 1)
    if (from < t.panels)
      tileSweep<Rows, Panels / 2, B>(t, a, from);
}

template <int Rows, typename B> void packedSweep(const Tile &t) {
  tileSweep<Rows, tilePanels, B>(t, PackedRows{t.a}, 0);
}
template <int Rows, typename B> void rowSweep(const Tile &t) {
  tileSweep<Rows, panelsFor(Rows), B>(t, PointedRows{t.rows}, 0);
}

/// The function for t.m rows out of a table, F<m>::run for m = 1 .. tileRows: one jump, however the
/// heights vary.
template <template <int> class F, typename T> UOE_INLINE void byRows(const T &t) {
  static constexpr void (*functions[16])(const T &) = {
      F<1>::run,
      F<2>::run,
      F<3>::run,
      F < tileRows >= 4 ? 4 : 1 > ::run,
      F < tileRows >= 5 ? 5 : 1 > ::run,
      F < tileRows >= 6 ? 6 : 1 > ::run,
      F < tileRows >= 7 ? 7 : 1 > ::run,
      F < tileRows >= 8 ? 8 : 1 > ::run,
      F < tileRows >= 9 ? 9 : 1 > ::run,
      F < tileRows >= 10 ? 10 : 1 > ::run,
      F < tileRows >= 11 ? 11 : 1 > ::run,
      F < tileRows >= 12 ? 12 : 1 > ::run,
      F < tileRows >= 13 ? 13 : 1 > ::run,
      F < tileRows >= 14 ? 14 : 1 > ::run,
  };
  if (t.m > 0)
    functions[t.m - 1](t);
}

template <typename B> struct Sweeps {
  template <int Rows> struct Packed {
    static void run(const Tile &t) { packedSweep<Rows, B>(t); }
  };
  template <int Rows> struct Pointed {
    static void run(const Tile &t) { rowSweep<Rows, B>(t); }
  };
};
inline void packedDispatch(const Tile &t) {
  byRows<Sweeps<float>::Packed>(t);
}
template <typename B> void rowDispatch(const Tile &t) {
  byRows<Sweeps<B>::template Pointed>(t);
}

template <typename B> void widen(const void *from, int64_t n, float *out) {
  const B *b = static_cast<const B *>(from);
  for (int64_t i = 0; i < n; i += lanes)
    store(out + i, loadB(b + i));
}

} // namespace uoe::rt::fast::UOE_SIMD
