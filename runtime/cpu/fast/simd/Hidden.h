// Feed-forward blocks in groups of 16 hidden units: the activation of a group, and its way down.
#pragma once
#include "Math.h"
#include "MicroGemm.h"

namespace uoe::rt::fast::UOE_SIMD {

struct DenseRows {
  const float *a;
  UOE_INLINE float at(int64_t k, int r) const { return a[r * lanes + k]; }
};

template <int Rows, int Panels, typename B> void downOnce(const DownTile &t, int64_t from) {
  V acc[Rows][Panels];
  float *c = t.c + from * lanes;
  UOE_UNROLL for (int r = 0; r < Rows; ++r) {
    const float *row = c + t.rows[r] * t.ldc;
    UOE_UNROLL for (int p = 0; p < Panels; ++p) acc[r][p] = load(row + p * lanes);
  }
  if (t.shift) {
    UOE_UNROLL for (int p = 0; p < Panels; ++p) {
      V shift = load(t.shift + (from + p) * lanes);
      UOE_UNROLL for (int r = 0; r < Rows; ++r) acc[r][p] = acc[r][p] - shift;
    }
  }
  const B *b = static_cast<const B *>(t.b) + from * t.bPanel;
  const float *h = t.h;
  // Panels are too short for the hardware to foresee the next ones. With one group a tile the next
  // rows follow directly.
  const int64_t ahead = t.ahead ? t.ahead : Panels * t.bPanel;
  const int64_t nextRows = t.groups == 1 ? Rows * lanes : t.hStep;
  for (int64_t g = 0; g < t.groups; ++g, b += 256, h += t.hStep)
    for (int64_t k = 0; k < lanes; k += 4) {
      UOE_UNROLL for (int j = 0; j < 4; ++j) {
        if constexpr (Rows > 4) {
          UOE_UNROLL for (int p = 0; p < Panels; ++p)
              prefetch(b + ahead + p * t.bPanel + (k + j) * lanes);
          prefetch(h + nextRows + (k + j) * lanes);
        }
        step<Rows, Panels>(acc, DenseRows{h}, k + j, b + (k + j) * lanes, t.bPanel);
      }
    }
  UOE_UNROLL for (int r = 0; r < Rows; ++r) {
    float *row = c + t.rows[r] * t.ldc;
    UOE_UNROLL for (int p = 0; p < Panels; ++p) store(row + p * lanes, acc[r][p]);
  }
}

template <int Rows, int Panels, typename B> void downSweep(const DownTile &t, int64_t from) {
  for (; from + Panels <= t.panels; from += Panels)
    downOnce<Rows, Panels, B>(t, from);
  if constexpr (Panels > 1)
    if (from < t.panels)
      downSweep<Rows, Panels / 2, B>(t, from);
}

template <typename B> struct DownSweeps {
  template <int Rows> struct Each {
    static void run(const DownTile &t) { downSweep<Rows, panelsFor(Rows), B>(t, 0); }
  };
};
template <typename B> void downDispatch(const DownTile &t) {
  byRows<DownSweeps<B>::template Each>(t);
}

inline void hiddenTile(const HiddenTile &t) {
  const V zero = set1(0.0f);
  const bool cut = t.b && t.cut.any();
  const V limit = set1(t.cut.limit), least = set1(-t.cut.limit), offset = set1(t.cut.upOffset);
  const V biasA = t.biasA ? load(t.biasA) : zero, biasB = t.biasB ? load(t.biasB) : zero;
  withActivation(t.act, [&](auto act) {
    for (int64_t r = 0; r < t.m; ++r) {
      V a = load(t.a + r * t.ld) + biasA;
      V h = apply<decltype(act)::value>(cut ? min(limit, a) : a);
      if (t.b) {
        V b = load(t.b + r * t.ld) + biasB;
        h = h * (cut ? max(least, min(limit, b)) + offset : b);
      }
      if (t.weight)
        h = h * set1(t.weight[r]);
      store(t.out + r * t.ldo, h);
    }
  });
}

inline void addTile(const AddTile &t) {
  for (int64_t r = 0; r < t.m; ++r) {
    const V weight = set1(t.weight ? t.weight[r] : 1.0f);
    const float *x = t.x + r * t.ldx;
    float *y = t.y + t.rows[r] * t.ldy;
    for (int64_t j = 0; j < t.n; j += lanes) {
      V v = t.bias ? load(x + j) + load(t.bias + j) : load(x + j);
      store(y + j, fma(weight, v, load(y + j)));
    }
  }
}

} // namespace uoe::rt::fast::UOE_SIMD
