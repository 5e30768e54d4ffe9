// A feed-forward block whose experts are a few neurons each, down to one. Groups of 16 hidden units
// (Experts.h) would mostly be padding, so weights lie by neuron: what is computed and read is the
// chosen pairs of token and neuron and nothing else. Where most pairs are chosen, dense products
// under a mask are faster and are taken instead.
#pragma once
#include "Experts.h"

namespace uoe::rt::fast {

class PackedNeurons {
public:
  PackedNeurons() = default;
  /// Expert e has the units starts[e] .. starts[e + 1]; starts[0] is 0. Raises Error for starts
  /// that do not ascend to `hidden`.
  PackedNeurons(const FfnSource &source, Activation act, const std::vector<int64_t> &starts);
  /// As PackedFfn::setSkipVectors.
  void setSkipVectors(const float *vectors);

  int64_t in = 0, hidden = 0, out = 0;
  Activation act = Activation::Identity;
  bool gated = false;
  std::vector<int64_t> starts;
  std::vector<float> gateBias, upBias; // empty if there is none
  std::vector<float> base;             // [outPadded]: the bias, and all skip vectors
  std::vector<float> skip;             // [experts][outPadded], or empty

  int64_t experts() const { return static_cast<int64_t>(starts.size()) - 1; }
  int64_t inPadded() const { return (in + 15) / 16 * 16; }
  int64_t outPadded() const { return (out + 15) / 16 * 16; }
  const float *gateRow(int64_t j) const { return gate.as<float>() + j * inPadded(); }
  const float *upRow(int64_t j) const { return up.as<float>() + j * inPadded(); }
  const float *downRow(int64_t j) const { return down.as<float>() + j * outPadded(); }

private:
  Buffer gate, up, down;
};

/// True if experts of these sizes are better packed by neuron than in groups of 16.
bool preferNeurons(const std::vector<int64_t> &sizes);

/// y[tokens, out] of the experts chosen for each token. Raises Error for ids out of range.
void experts(const PackedNeurons &block, const float *x, int64_t ldx, int64_t tokens,
             const Routing &routing, float *y, int64_t ldy);

} // namespace uoe::rt::fast
