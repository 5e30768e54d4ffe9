// Feed-forward blocks, dense and as a union of experts, fused from the input to the output: hidden
// units exist only in tiles that stay in cache. See also Router.h for the choice of experts.
#pragma once
#include "Activation.h"
#include "Gemm.h"
#include <vector>

namespace uoe::rt::fast {

/// The weights of a block, row-major: up [in, hidden], gate likewise or null, down [hidden, out];
/// transposed means [hidden, in] and [out, hidden]. h = act(x gate + gateBias) * (x up + upBias)
/// with both factors cut by `cut`, or act(x up + upBias) without a gate; y = h down + downBias.
/// Biases may be null.
struct FfnSource {
  int64_t in = 0, hidden = 0, out = 0;
  const float *gate = nullptr, *up = nullptr, *down = nullptr;
  bool gateTransposed = false, upTransposed = false, downTransposed = false;
  const float *gateBias = nullptr, *upBias = nullptr, *downBias = nullptr;
  Cut cut;
};

/// Types of a block's weights into the hidden units and out of them.
struct FfnTypes {
  ElementType inner = ElementType::F32, outer = ElementType::F32;
};

/// The same block, packed in groups of 16 hidden units. Experts are ranges of units; each begins
/// with a new group, so that sizes which are no multiples of 16 cost padding.
class PackedFfn {
public:
  PackedFfn() = default;
  /// Experts are the units starts[e] .. starts[e + 1]; what precedes starts[0] is the core, always
  /// on. Empty starts: one dense block. `order`, if not empty, lists for each unit of the experts'
  /// numbering its place in the source. Raises Error for starts that do not ascend to `hidden`,
  /// for an order that is no permutation, and for a cut of a block without a gate.
  PackedFfn(const FfnSource &source, Activation act, const std::vector<int64_t> &starts = {},
            const std::vector<int64_t> &order = {}, FfnTypes types = {});
  static FfnTypes exactTypes(const FfnSource &source);
  /// Makes experts() add row e of vectors [experts, out] for each expert e that a token skips.
  void setSkipVectors(const float *vectors);

  int64_t in = 0, out = 0, experts = 0;
  Activation act = Activation::Identity;
  bool gated = false;
  Cut cut;
  FfnTypes types;
  /// Block 0 is the core (maybe of no groups), block 1 + e expert e: groups firstGroup[b] ..
  /// firstGroup[b + 1].
  std::vector<int64_t> firstGroup;
  std::vector<float> gateBias, upBias; // in groups' order; empty if there is none
  std::vector<float> downBias;         // [16 * outPanels], zeros where there is none
  /// [experts][16 * outPanels], and downBias plus all of them; empty without skip vectors.
  std::vector<float> skip, biasAndSkip;

  int64_t blocks() const { return experts + 1; }
  int64_t groups() const { return firstGroup.back(); }
  int64_t outPanels() const { return (out + 15) / 16; }
  size_t bytes() const { return inner.size() + outer.size(); }
  /// [in][16], or [in][32] with the gate's 16 columns first.
  const void *innerGroup(int64_t g) const {
    return inner.as<char>() + g * innerStep() * bytesOf(types.inner);
  }
  /// Panel p of block b: [groups of b][16][16], for its 16 outputs the rows of each group's units.
  /// A block's panels follow each other.
  const void *outerPanel(int64_t b, int64_t p) const {
    return outer.as<char>() +
           (firstGroup[size_t(b)] * outPanels() + p * groupsOf(b)) * 256 * bytesOf(types.outer);
  }
  int64_t groupsOf(int64_t b) const { return firstGroup[size_t(b) + 1] - firstGroup[size_t(b)]; }
  int64_t innerStep() const { return in * (gated ? 32 : 16); }

private:
  Buffer inner, outer;
};

/// The block in the types that hold its weights exactly.
PackedFfn packExact(const FfnSource &source, Activation act,
                    const std::vector<int64_t> &starts = {});

/// Which experts each token takes: those of token t are ids[offsets[t]] .. ids[offsets[t + 1] - 1],
/// each at most once, with weights (null: 1). An expert's hidden units are multiplied by its
/// weight.
struct Routing {
  const int64_t *offsets = nullptr; // [tokens + 1]
  const int32_t *ids = nullptr;
  const float *weights = nullptr;
};

/// What is added to the block's result: residualScale * residual, of the result's shape, which may
/// be y.
struct FfnEpilogue {
  const float *residual = nullptr;
  int64_t ldr = 0;
  float residualScale = 1.0f;
};

/// y[tokens, out] of the dense block: core and all experts with weight 1. x and y may not overlap.
void ffn(const PackedFfn &block, const float *x, int64_t ldx, int64_t tokens, float *y, int64_t ldy,
         const FfnEpilogue &epilogue = {});
/// y[tokens, out] of the core and the experts chosen for each token. A token's result depends
/// neither on the other tokens nor on the threads. Raises Error for ids out of range.
void experts(const PackedFfn &block, const float *x, int64_t ldx, int64_t tokens,
             const Routing &routing, float *y, int64_t ldy, const FfnEpilogue &epilogue = {});

} // namespace uoe::rt::fast
