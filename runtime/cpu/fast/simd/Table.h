// The functions that exist once per instruction set, as a table. Internal to runtime/cpu/fast.
#pragma once
#include "runtime/cpu/fast/Activation.h"
#include "runtime/cpu/fast/ElementType.h"
#include <stdint.h>

namespace uoe::rt::fast {

/// Columns of a panel: a weight [K, N] is stored as ceil(N / 16) panels of [K][16], each row a
/// cache line.
constexpr int64_t panelWidth = 16;
constexpr int maxTileRows = 16;

/// c[m][16 * panels] (+)= a[m][k] * b[k][16 * panels]. Every output is one chain of multiply-adds
/// over k in ascending order, whatever m, panels and blocking are: results depend on neither batch
/// size nor threads. Element (k, 16 p + j) of b is at b[k * bk + p * bp + j]: packed panels have bk
/// = 16, bp = 16 K.
struct Tile {
  int64_t m = 0, k = 0, panels = 0;
  const float *a = nullptr;           // packed tiles: [k][mr]; row tiles: unused
  const float *const *rows = nullptr; // row tiles: the m rows of a
  const void *b = nullptr;            // of an ElementType
  int64_t bk = 0, bp = 0;
  float *c = nullptr;
  int64_t ldc = 0;
  bool accumulate = false; // start from c instead of 0
};

/// The down projection of some hidden units, added to scattered rows: for r < m, row c + rows[r] *
/// ldc gains sum over g < groups, k < 16 of h[g * hStep + 16 r + k] * b[p * bPanel + 256 g + 16 k +
/// j] in column 16 p + j, and loses `shift` if given. One chain over g and k that starts from c.
struct DownTile {
  int64_t m = 0, groups = 0, panels = 0;
  const float *h = nullptr;
  int64_t hStep = 0;
  const void *b = nullptr; // of an ElementType
  int64_t bPanel = 0;
  int64_t ahead = 0; // elements from what is read of b to what is fetched meanwhile; 0: next panels
  float *c = nullptr;
  int64_t ldc = 0;
  const int32_t *rows = nullptr;
  const float *shift = nullptr; // [16 * panels] or null
};

/// 16 hidden units of m tokens: out[ldo r + j] = weight[r] * act(a + biasA) [* (b + biasB) if b],
/// both factors cut where there are two.
struct HiddenTile {
  int64_t m = 0, ld = 0; // ld: from row to row of a and b
  Activation act = Activation::Identity;
  Cut cut;
  const float *a = nullptr, *b = nullptr;
  const float *biasA = nullptr, *biasB = nullptr; // [16] or null
  const float *weight = nullptr;                  // [m] or null
  float *out = nullptr;
  int64_t ldo = 16;
};

/// Row rows[r] of y gains weight[r] * (x[r] + bias), n columns of it, a multiple of 16.
struct AddTile {
  int64_t m = 0, n = 0;
  const float *x = nullptr;
  int64_t ldx = 0;
  const float *weight = nullptr; // [m] or null
  const float *bias = nullptr;   // [n] or null
  float *y = nullptr;
  int64_t ldy = 0;
  const int32_t *rows = nullptr;
};

/// c[m][n] = act(alpha * x + bias) + residualScale * residual; bias and residual may be null, c may
/// be x or residual.
struct Finish {
  int64_t m = 0, n = 0;
  const float *x = nullptr;
  int64_t ldx = 0;
  float alpha = 1;
  const float *bias = nullptr;
  Activation act = Activation::Identity;
  const float *residual = nullptr;
  int64_t ldr = 0;
  float residualScale = 1;
  float *c = nullptr;
  int64_t ldc = 0;
};

/// One row of attention scores: x = cap(scale x) + bias, or cap(scale x + bias); -inf where mask is
/// 0.
struct ScoreRow {
  float *x = nullptr;
  int64_t n = 0;
  float scale = 1;
  float softcap = 0; // 0: none
  bool capAfterBias = false;
  const float *bias = nullptr;   // [n] or null
  const uint8_t *mask = nullptr; // [n] or null
};

/// See NormArgs in Norm.h.
struct NormRow {
  int64_t n = 0;
  const float *x = nullptr, *skip = nullptr, *skipBias = nullptr, *gamma = nullptr, *beta = nullptr;
  float eps = 0;
  bool rms = false;
  float *y = nullptr, *sum = nullptr, *mean = nullptr, *inverse = nullptr;
};

/// Quantised panels of 16 columns as they lie, see QuantizedMatrix: blocks of a panel follow each
/// other.
struct QuantPanels {
  int bits = 4;
  bool hasZeros = false;
  int64_t block = 0;
  const uint8_t *b = nullptr;
  int64_t blockBytes = 0, panelBytes = 0; // from block to block, from panel to panel
};

/// Row r of out [16 * panels] = rows[r] times quantised panels, or gains that; m <= 4. Codes are
/// summed block by block and then scaled.
struct QuantTile {
  int64_t m = 0, panels = 0, blocks = 0;
  QuantPanels w;
  /// The m rows [blocks * block] as quantRow leaves them, and their sums over each block, [blocks].
  const float *const *rows = nullptr, *const *sums = nullptr;
  float *const *out = nullptr;
  bool accumulate = false;
  const float *shift = nullptr; // [16 * panels] or null: what the rows lose
};

/// c[m][16 * panels] = a[m][4 * quads] times panels of bytes, see IntegerMatrix; m <= 12.
struct IntegerTile {
  int64_t m = 0, panels = 0, quads = 0;
  const uint8_t *a = nullptr;
  int64_t lda = 0;
  const int8_t *b = nullptr;
  int64_t bPanel = 0;
  int32_t *c = nullptr;
  int64_t ldc = 0;
};

/// Rows index[0 .. count) of b, each n elements (a multiple of 16), and m <= 8 tokens.
/// addRows: c[r][0 .. n) += sum over i of a[i * m + r] * b[index[i]].
/// dotRows: c[i * m + r] = a[r * lda ...] . b[index[i]].
struct SparseRows {
  int64_t m = 0, n = 0, count = 0;
  const int32_t *index = nullptr;
  const void *b = nullptr; // of an ElementType
  int64_t ldb = 0;
  const float *a = nullptr;
  int64_t lda = 0;
  float *c = nullptr;
  int64_t ldc = 0;
};

/// Products of one row b of n floats with rows of a that lie anywhere: out[i] = rows[i] . b, i < m.
/// Each is one chain of sums, whatever m is.
struct ListDots {
  int64_t m = 0, n = 0;
  const float *b = nullptr;
  const float *const *rows = nullptr;
  float *out = nullptr;
};

/// Products of m rows with n rows, both along k: c[r * ldc + j] = rows[r] . b[j * ldb ..]. Each is
/// summed in the order of ListDots.
struct DotTile {
  int64_t m = 0, n = 0, k = 0;
  const float *const *rows = nullptr;
  const float *b = nullptr;
  int64_t ldb = 0;
  float *c = nullptr;
  int64_t ldc = 0;
};

/// c[0 .. n) += sum over i < count of a[i] * b[index[i] * ldb + 0 .. n), in one chain over i that
/// starts from c; n <= 64.
struct ListSum {
  int64_t n = 0, count = 0;
  const int32_t *index = nullptr;
  const float *a = nullptr;
  const float *b = nullptr;
  int64_t ldb = 0;
  float *c = nullptr;
};

/// A panel of rows of b in L1, [rows][16 * panels], and m tokens with the chosen ones in lists: row
/// r of c [m][16 * panels] gains the sum over start[r * lds] <= i < start[r * lds + 1] of value[i]
/// * b[index[i] - first], in one chain over i that starts from c.
struct SumTile {
  int64_t m = 0, panels = 0; // panels <= Kernels::stripePanels
  const int32_t *start = nullptr;
  int64_t lds = 0;
  const int32_t *index = nullptr;
  const float *value = nullptr;
  const float *b = nullptr;
  int32_t first = 0;
  float *c = nullptr;
};

/// A panel of rows of b in L1, [rows][k], k a multiple of 16, and m tokens with the chosen ones in
/// lists as above: out[i] = x[r] . b[index[i] - first]. Long rows are cut along k; between the
/// calls the sums, 16 a pair, lie in `sums`, so that each is summed in the order of ListDots.
struct PairTile {
  int64_t m = 0, k = 0;
  const float *x = nullptr;
  int64_t ldx = 0;
  const int32_t *start = nullptr;
  int64_t lds = 0;
  const int32_t *index = nullptr;
  const float *b = nullptr;
  int32_t first = 0;
  bool begins = true, ends = true;
  float *sums = nullptr;
  float *out = nullptr;
};

/// What keepRow keeps, as a list: index[i], ascending, and value[i]. start[q] is base + the length
/// of the list before row q * step (step a multiple of 16), ceil(n / step) + 1 of them. Lists have
/// room for n + 16.
struct KeptRow {
  int64_t n = 0, step = 0;
  const float *x = nullptr;
  const float *mean = nullptr; // or null
  const float *scale = nullptr;
  float threshold = 0;
  int32_t *index = nullptr;
  float *value = nullptr;
  int32_t base = 0;
  int32_t *start = nullptr;
};

struct Kernels {
  int mr;           // rows of a packed tile, the largest m of any tile
  int panels;       // panels that a full tile covers at once
  int stripePanels; // the most of a SumTile

  void (*packedTile)(const Tile &tile); // of floats
  // Of each type of b.
  void (*rowTiles[3])(const Tile &tile);
  void (*downTiles[3])(const DownTile &tile);
  void (*wideners[3])(const void *from, int64_t n, float *out);
  void (*hiddenTile)(const HiddenTile &tile);
  void (*addTile)(const AddTile &tile);
  /// m <= mr rows of k floats into [k][mr], missing rows as 0. Up to 16 floats after the result may
  /// be overwritten.
  void (*packRows)(const float *const *rows, int64_t m, int64_t k, float *out);
  /// n <= 16 columns of k floats each into a panel [k][16], missing columns as 0.
  void (*packPanel)(const float *const *columns, int64_t n, int64_t k, float *out);
  /// out[i][j] = sum over k of a[i][k] b[j][k], for few rows of a.
  void (*dots)(int64_t m, int64_t n, int64_t k, const float *a, int64_t lda, const float *b,
               int64_t ldb, float *out, int64_t ldo);
  void (*finish)(const Finish &finish);
  /// Returns the row's maximum, -inf for an empty one.
  float (*scoreRow)(const ScoreRow &row);
  /// x = exp(x - shift); returns the sum.
  float (*expRow)(float *x, int64_t n, float shift);
  /// y = x * factor
  void (*scaleRow)(const float *x, float factor, float *y, int64_t n);
  void (*quantTile)(const QuantTile &tile);
  /// `blocks` blocks of the first panel as floats: 16 for each of blocks * block rows, `step`
  /// apart.
  void (*widenPanel)(const QuantPanels &w, int64_t blocks, float *out, int64_t step);
  void (*integerTile)(const IntegerTile &tile);
  /// The same by instructions that not every machine of this set has, or null.
  void (*integerDots)(const IntegerTile &tile);
  void (*rowAdders[3])(const SparseRows &rows);
  void (*rowDots[3])(const SparseRows &rows);
  int64_t (*keepRow)(const float *x, const float *mean, const float *scale, float threshold,
                     int64_t n, float *out);
  void (*multiplyRow)(float *x, const float *y, const float *z, int64_t n);
  /// Bit i % 16 of mask[i / 16] tells whether x[i] > limits[i], or > limit if there are none.
  void (*aboveRow)(const float *x, const float *limits, float limit, int64_t n, uint16_t *mask);
  /// The same as a list, ascending; returns its length. `list` has room for n + 16.
  int64_t (*listAbove)(const float *x, const float *limits, float limit, int64_t n, int32_t *list);
  void (*listDots)(const ListDots &dots);
  void (*listSum)(const ListSum &sum);
  void (*dotTile)(const DotTile &tile);
  void (*sumTile)(const SumTile &tile);
  void (*pairTile)(const PairTile &tile);
  /// Returns the length of the list.
  int64_t (*listKept)(const KeptRow &row);
  float (*maxRow)(const float *x, int64_t n);
  void (*normRow)(const NormRow &row);
  void (*rotateHead)(const float *x, float *y, const float *cos, const float *sin, int64_t half,
                     bool interleaved);
  void (*activation)(Activation act, const float *x, float *y, int64_t n);
  void (*gated)(Activation act, const float *gate, const float *up, float *y, int64_t n);

  void rowTile(const Tile &tile, ElementType type = ElementType::F32) const {
    rowTiles[static_cast<int>(type)](tile);
  }
  void downTile(const DownTile &tile, ElementType type) const {
    downTiles[static_cast<int>(type)](tile);
  }
  void addRows(const SparseRows &rows, ElementType type) const {
    rowAdders[static_cast<int>(type)](rows);
  }
  void dotRows(const SparseRows &rows, ElementType type) const {
    rowDots[static_cast<int>(type)](rows);
  }
  /// n elements, a multiple of 16, as floats.
  void widen(const void *from, ElementType type, int64_t n, float *out) const {
    wideners[static_cast<int>(type)](from, n, out);
  }
};

/// The table of the instruction set in use.
const Kernels &kernels();

} // namespace uoe::rt::fast
