// A feed-forward block whose experts are a few neurons each, down to one. Groups of 16 hidden units
// (Experts.h) would mostly be padding, so weights lie by neuron: what is computed and read is the
// chosen pairs of token and neuron and nothing else. With many tokens the weights pass through L1
// in panels, and where most pairs are chosen dense products under a mask are faster and are taken
// instead; all give the same bits.
#pragma once
#include "Experts.h"

namespace uoe::rt::fast {

class PackedNeurons {
public:
  PackedNeurons() = default;
  /// Expert e has the units starts[e] .. starts[e + 1]; starts[0] is 0. Raises Error for starts
  /// that do not ascend to `hidden`, and for a cut of a block without a gate.
  PackedNeurons(const FfnSource &source, Activation act, const std::vector<int64_t> &starts);
  /// As PackedFfn::setSkipVectors.
  void setSkipVectors(const float *vectors);

  int64_t in = 0, hidden = 0, out = 0;
  Activation act = Activation::Identity;
  bool gated = false;
  Cut cut;
  std::vector<int64_t> starts;
  std::vector<float> gateBias, upBias; // empty if there is none
  std::vector<float> base;             // [outPadded]: the bias, and all skip vectors
  std::vector<float> skip;             // [experts][outPadded], or empty

  int64_t experts() const { return static_cast<int64_t>(starts.size()) - 1; }
  int64_t inPadded() const { return (in + 15) / 16 * 16; }
  int64_t outPadded() const { return (out + 15) / 16 * 16; }
  const float *gateRow(int64_t j) const { return gate.as<float>() + j * inPadded(); }
  const float *upRow(int64_t j) const { return up.as<float>() + j * inPadded(); }
  /// Outputs 64 b .. 64 b + 63 of every neuron: [hidden][64]. A block stays in L2 while tokens pass
  /// by, which rows as long as a page would not.
  static constexpr int64_t columns = 64;
  int64_t columnBlocks() const { return (out + columns - 1) / columns; }
  const float *downBlock(int64_t b) const { return down.as<float>() + b * hidden * columns; }

private:
  Buffer gate, up, down;
};

/// Which products experts() takes.
/// Pairs: the chosen ones alone, weights from where they lie. Panels: the same, weights from L1, a
/// panel at a time (Panels.h). Dense: all, under a mask.
enum class NeuronProducts { Faster, Pairs, Panels, Dense };

/// True if experts of these sizes are better packed by neuron than in groups of 16.
bool preferNeurons(const std::vector<int64_t> &sizes);

/// y[tokens, out] of the experts chosen for each token; x and the residual may not overlap y.
/// Raises Error for ids out of range. The products change the time, not the result, where the
/// experts of a token ascend.
void experts(const PackedNeurons &block, const float *x, int64_t ldx, int64_t tokens,
             const Routing &routing, float *y, int64_t ldy, const FfnEpilogue &epilogue = {},
             NeuronProducts products = NeuronProducts::Faster);

} // namespace uoe::rt::fast
