// Products of a sparse left operand with a dense right one, for many tokens. A panel of rows of the
// right operand is copied to where it stays in L1 while the tokens pass by; each takes the rows
// that it has entries for, and the sums of a stripe of columns stay in registers meanwhile. A
// multiply-add of 16 columns then costs one load from L1, of which processors make as many a cycle
// as multiply-adds. Internal to runtime/cpu/fast.
#pragma once
#include "ElementType.h"
#include <cstdint>

namespace uoe::rt::fast {

/// Floats of a panel: two thirds of L1, which leaves room for a row of sums, the lists and x.
int64_t panelFloats();

/// Rows of the right operand: element (k, 16 p + j) at base + k * stepK + p / group * stepGroup + p
/// % group * 16 + j.
struct RowPanels {
  const void *base = nullptr;
  int64_t stepK = 0, group = 1, stepGroup = 0;
  ElementType type = ElementType::F32;

  const void *at(int64_t k, int64_t p) const {
    return advance(base, type, k * stepK + p / group * stepGroup + p % group * 16);
  }
};

/// The entries of tokens: those of token r in panel q, rows q * step to (q + 1) * step of the right
/// operand, are start[i] .. start[i + 1], i = r * ofToken + q * ofPanel, ascending. They may lie
/// token by token (ofPanel = 1) or, where they would leave L2, panel by panel (ofToken = 1).
struct EntryLists {
  const int32_t *index = nullptr;
  const float *value = nullptr;
  const int32_t *start = nullptr;
  int64_t ofToken = 0, ofPanel = 1, step = 0;
};

/// How a product with n columns is cut.
struct Stripes {
  int64_t panels = 0, count = 0;
  int64_t step = 0; // rows of a panel

  explicit Stripes(int64_t n);
  int64_t first(int64_t s) const { return panels * s / count; }
  /// Starts of a token's lists for k rows.
  int64_t starts(int64_t k) const { return (k + step - 1) / step + 1; }
};

/// c[m][16 * (p1 - p0)] += entries * b for panels p0..p1 of k rows, each element in one chain over
/// ascending rows that starts from c.
void sumStripe(const EntryLists &entries, int64_t m, int64_t k, const RowPanels &b, int64_t p0,
               int64_t p1, float *c);

/// n rows of `width` elements (a multiple of 16 unless they are floats) as floats, `ldt` apart.
void copyRows(const void *from, ElementType type, int64_t ld, int64_t n, int64_t width, float *to,
              int64_t ldt);
/// Asks for part i of `parts` of what copyRows will read.
void fetchRows(const void *from, ElementType type, int64_t ld, int64_t n, int64_t width, int64_t i,
               int64_t parts);

} // namespace uoe::rt::fast
