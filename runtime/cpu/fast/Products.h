// Routed experts that are one matrix each: y_t += w_te (x_t W_e + b_e).
#pragma once
#include "Experts.h"

namespace uoe::rt::fast {

/// Experts of one size. Element (i, j) of W_e is weight[e * stepExpert + i * stepIn + j * stepOut];
/// bias [experts, out] may be null. Of several heads each has an equal part of the experts, in
/// order: head h reads the inputs h * in .. of a row of x or, if not splitInput, adds to the
/// outputs h * out .. of a row of y (SwitchHead, arXiv 2312.07987: its output and its value
/// projections).
struct ProductSource {
  int64_t in = 0, out = 0, experts = 0;
  const float *weight = nullptr;
  int64_t stepExpert = 0, stepIn = 0, stepOut = 1;
  const float *bias = nullptr;
  int64_t heads = 1;
  bool splitInput = false;
};

class PackedProducts {
public:
  PackedProducts() = default;
  /// Raises Error for heads that do not divide the experts.
  explicit PackedProducts(const ProductSource &source);

  int64_t in = 0, out = 0, experts = 0;
  int64_t inHeads = 1, outHeads = 1; // parts of a row of x and of y
  std::vector<float> bias;           // [experts][16 * panels], or empty

  int64_t inWidth() const { return inHeads * in; }
  int64_t outWidth() const { return outHeads * out; }
  int64_t panels() const { return (out + 15) / 16; }
  /// Panel p of expert e, [in][16]; those of an expert follow each other.
  const float *panel(int64_t e, int64_t p) const {
    return weights.as<float>() + (e * panels() + p) * in * 16;
  }

private:
  Buffer weights;
};

/// y[tokens, outWidth] of the experts chosen for each token. A token's result depends neither on
/// the other tokens nor on the threads. Raises Error for ids out of range.
void products(const PackedProducts &block, const float *x, int64_t ldx, int64_t tokens,
              const Routing &routing, float *y, int64_t ldy, const FfnEpilogue &epilogue = {});

} // namespace uoe::rt::fast
