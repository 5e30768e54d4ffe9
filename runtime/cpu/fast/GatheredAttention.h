// Attention experts on tokens of their own (SMHA of Union of Experts, arXiv 2503.02495): expert e
// takes of each sample the tokens that chose it, in ascending order; their queries, keys and values
// are its projections of these tokens alone, and y_t += w_te (its heads' result of t) W_O,e.
#pragma once
#include "Attention.h"
#include "Products.h"

namespace uoe::rt::fast {

/// Experts of `heads` query heads and `kvHeads` key heads each. The columns of q, k and v, and the
/// rows of o, are those of expert 0, then of expert 1, ..., head by head.
struct HeadsSource {
  /// Element (i, j) is data[i * stepRow + j * stepColumn]; bias, of its columns, may be null.
  struct Matrix {
    const float *data = nullptr;
    int64_t stepRow = 0, stepColumn = 1;
    const float *bias = nullptr;
  };
  int64_t in = 0, out = 0, experts = 0;
  int64_t heads = 1, kvHeads = 1, size = 0, valueSize = 0; // of an expert; of a head
  Matrix q, k, v; // [in, experts * heads * size], [in, experts * kvHeads * size or valueSize]
  Matrix o;       // [experts * heads * valueSize, out], without a bias
};

class PackedHeads {
public:
  PackedHeads() = default;
  /// Raises Error for heads that are no multiple of kvHeads.
  explicit PackedHeads(const HeadsSource &source);

  int64_t in = 0, out = 0, experts = 0, heads = 1, kvHeads = 1, size = 0, valueSize = 0;
  PackedProducts project; // of each expert: q, k and v side by side
  PackedProducts output;

  int64_t projectWidth() const { return (heads + kvHeads) * size + kvHeads * valueSize; }
  int64_t mixedWidth() const { return heads * valueSize; }
};

/// Rotary tables: row p of sample b begins at b * stepSample + p * stepToken and has `half` angles,
/// for the leading 2 * half features of a head: i and half + i, or 2i and 2i + 1.
struct RotaryTables {
  const float *cosines = nullptr, *sines = nullptr; // null: nothing is rotated
  int64_t stepSample = 0, stepToken = 0, half = 0;
  bool interleaved = false;
  bool compacted = false; // the p-th token of an expert takes row p, not the row of its position
};

struct GatheredArgs {
  const float *x = nullptr;
  int64_t ldx = 0, samples = 0, length = 0;
  Routing routing; // of samples * length tokens; weights apply to results
  RotaryTables tables;
  /// Scale, causality (among an expert's tokens, in order), window (counted in its tokens),
  /// softcap, bias, mask: the rest is not read. The bias' and the mask's queries and keys are
  /// tokens of a sample, or with biasCompacted an expert's tokens as they are counted.
  AttentionArgs attention;
  bool biasCompacted = false;
};

/// y[samples * length, out]. A sample's result depends neither on the others nor on the threads.
/// Raises Error for ids out of range.
void gatheredAttention(const PackedHeads &block, const GatheredArgs &args, float *y, int64_t ldy,
                       const FfnEpilogue &epilogue = {});

} // namespace uoe::rt::fast
