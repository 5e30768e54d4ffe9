#include "Panels.h"
#include "Memory.h"
#include "simd/Table.h"
#include <algorithm>
#include <cstring>
#include <unistd.h>

namespace uoe::rt::fast {

int64_t panelFloats() {
  static const int64_t floats = [] {
    long bytes = 0;
#ifdef _SC_LEVEL1_DCACHE_SIZE
    bytes = sysconf(_SC_LEVEL1_DCACHE_SIZE);
#endif
    return std::clamp<int64_t>(bytes > 0 ? bytes : 32 << 10, 16 << 10, 64 << 10) / 6;
  }();
  return floats;
}

Stripes::Stripes(int64_t n) {
  const int64_t most = kernels().stripePanels;
  panels = (n + 15) / 16;
  count = std::max<int64_t>(1, (panels + most - 1) / most);
  const int64_t width = (panels + count - 1) / count;
  step = std::max<int64_t>(1, panelFloats() / 256 / std::max<int64_t>(1, width)) * 16;
}

void copyRows(const void *from, ElementType type, int64_t ld, int64_t n, int64_t width, float *to,
              int64_t ldt) {
  for (int64_t i = 0; i < n; ++i) {
    const void *row = advance(from, type, i * ld);
    if (type == ElementType::F32)
      std::memcpy(to + i * ldt, row, static_cast<size_t>(width) * sizeof(float));
    else
      kernels().widen(row, type, width, to + i * ldt);
  }
}

void fetchRows(const void *from, ElementType type, int64_t ld, int64_t n, int64_t width, int64_t i,
               int64_t parts) {
  const int64_t line = 64 / bytesOf(type);
  for (int64_t r = n * i / parts; r < n * (i + 1) / parts; ++r)
    for (int64_t j = 0; j < width; j += line)
      __builtin_prefetch(advance(from, type, r * ld + j), 0, 2);
}

namespace {

/// Calls f(rows, ld, width, to) for the pieces of panels p0..p1 that lie side by side; `to` counts
/// the floats before.
template <typename F> void eachGroup(const RowPanels &b, int64_t k, int64_t p0, int64_t p1, F &&f) {
  for (int64_t p = p0; p < p1;) {
    const int64_t end = std::min(p1, (p / b.group + 1) * b.group);
    f(b.at(k, p), (end - p) * 16, (p - p0) * 16);
    p = end;
  }
}

} // namespace

void sumStripe(const EntryLists &entries, int64_t m, int64_t k, const RowPanels &b, int64_t p0,
               int64_t p1, float *c) {
  constexpr int64_t together = 16; // tokens between two requests for the next panel
  const int64_t width = (p1 - p0) * 16, step = entries.step, parts = (m + together - 1) / together;
  float *rows = scratch<float>(Scratch::Stripe, step * width);
  SumTile t;
  t.panels = p1 - p0;
  t.lds = entries.ofToken;
  t.index = entries.index;
  t.value = entries.value;
  t.b = rows;
  for (int64_t k0 = 0, q = 0; k0 < k; k0 += step, ++q) {
    const int64_t n = std::min(step, k - k0), next = std::min(step, k - k0 - n);
    eachGroup(b, k0, p0, p1, [&](const void *from, int64_t columns, int64_t to) {
      copyRows(from, b.type, b.stepK, n, columns, rows + to, width);
    });
    t.first = static_cast<int32_t>(k0);
    for (int64_t i = 0; i < parts; ++i) {
      if (next > 0)
        eachGroup(b, k0 + n, p0, p1, [&](const void *from, int64_t columns, int64_t) {
          fetchRows(from, b.type, b.stepK, next, columns, i, parts);
        });
      const int64_t r = i * together;
      t.m = std::min(together, m - r);
      t.start = entries.start + r * t.lds + q * entries.ofPanel;
      t.c = c + r * width;
      kernels().sumTile(t);
    }
  }
}

} // namespace uoe::rt::fast
