// A feed-forward block whose experts are single input channels and single neurons, chosen by exact
// thresholds on values that are computed anyway: no router, no predictor. See docs on the cascade
// recipe; with few tokens only the bytes of surviving channels and neurons are read.
//
//   z = x - mean
//   g = act(sum over i with |z_i| gateScale_i > gateThreshold of z_i first[i, :] + firstBias')
//   A = the neurons with |g_j| activeScale_j > activeThreshold
//   u_j = sum over i with |z_i| upScale_i > upThreshold of z_i up[j, i] + upBias'_j, for j in A
//   h_j = g_j u_j; D = the neurons of A with |h_j| downScale_j > downThreshold
//   y = sum over D of h_j down[j, :] + downBias
//
// firstBias' = firstBias + mean first, upBias' likewise. Without `up` (an ungated block) h = g and
// A is everything.
#pragma once
#include "Activation.h"
#include "ElementType.h"
#include "Memory.h"
#include <vector>

namespace uoe::rt::fast {

struct CascadeSource {
  int64_t in = 0, hidden = 0, out = 0;
  const float *first =
      nullptr;               // gate, or the only projection: [in, hidden], transposed [hidden, in]
  const float *up = nullptr; // [in, hidden], transposed [hidden, in]; null: no gate
  const float *down = nullptr; // [hidden, out], transposed [out, hidden]
  bool firstTransposed = false, upTransposed = false, downTransposed = false;
  const float *firstBias = nullptr, *upBias = nullptr, *downBias = nullptr;
  const float *mean = nullptr; // [in]; null: 0
  /// Scales: gate and up [in], active and down [hidden]; null: that stage drops nothing.
  const float *gateScale = nullptr, *activeScale = nullptr, *upScale = nullptr,
              *downScale = nullptr;
  float gateThreshold = 0, activeThreshold = 0, upThreshold = 0, downThreshold = 0;
};

/// What survived, summed over tokens: for reports.
struct CascadeCounts {
  int64_t tokens = 0, gateChannels = 0, activeNeurons = 0, upChannels = 0, downNeurons = 0;
};

struct CascadeTypes {
  ElementType first = ElementType::F32, up = ElementType::F32, down = ElementType::F32;
};

class PackedCascade {
public:
  PackedCascade() = default;
  PackedCascade(const CascadeSource &source, Activation act, CascadeTypes types = {});
  /// The types that hold the source's weights exactly.
  static CascadeTypes exactTypes(const CascadeSource &source);

  int64_t in = 0, hidden = 0, out = 0;
  Activation act = Activation::Identity;
  bool gated = false;
  CascadeTypes types;
  float gateThreshold = 0, activeThreshold = 0, upThreshold = 0, downThreshold = 0;
  // Scales are empty where a stage drops nothing; biases include the mean's part, padded to 16.
  std::vector<float> mean, gateScale, activeScale, upScale, downScale;
  std::vector<float> firstBias, upBias, downBias;

  /// Neurons of a chunk: a thread takes a chunk through all stages; chunks depend on nothing but
  /// `hidden`.
  int64_t chunk() const { return hidden >= 1024 ? 256 : 64; }
  int64_t chunks() const { return (hidden + chunk() - 1) / chunk(); }
  int64_t inPadded() const { return (in + 15) / 16 * 16; }
  int64_t outPadded() const { return (out + 15) / 16 * 16; }
  /// [in][chunk()] of chunk c; columns past `hidden` are 0.
  const void *firstChunk(int64_t c) const {
    return advance(first.as<char>(), types.first, c * in * chunk());
  }
  const void *upRow(int64_t j) const { return advance(up.as<char>(), types.up, j * inPadded()); }
  const void *downRow(int64_t j) const {
    return advance(down.as<char>(), types.down, j * outPadded());
  }
  size_t bytes() const { return first.size() + up.size() + down.size(); }

private:
  Buffer first, up, down;
};

/// The products of more than 8 tokens.
enum class CascadeProducts { Faster, Sparse, Dense };

/// y[tokens, out] of the block plus residual [tokens, out] (may be null, may be y). Up to 8 tokens
/// read only weights that one of them needs. More tokens take their products from L1 a panel of
/// weights at a time (Panels.h), or densely under masks where those keep nearly everything: the
/// choice changes the time, not the result. Few and many sum u in different orders, so that a value
/// within rounding of a threshold may fall on either side. `counts`, if given, is added to.
void cascade(const PackedCascade &block, const float *x, int64_t ldx, int64_t tokens, float *y,
             int64_t ldy, const float *residual = nullptr, int64_t ldr = 0,
             CascadeCounts *counts = nullptr, CascadeProducts products = CascadeProducts::Faster);

} // namespace uoe::rt::fast
