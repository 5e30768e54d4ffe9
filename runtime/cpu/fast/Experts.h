// Feed-forward blocks, dense and as a union of experts, fused from the input to the output: hidden
// units exist only in tiles that stay in cache. See also Router.h for the choice of experts.
#pragma once
#include "Activation.h"
#include "Quantized.h"
#include <vector>

namespace uoe::rt::fast {

/// The weights of a block, row-major: up [in, hidden], gate likewise or null, down [hidden, out];
/// transposed means [hidden, in] and [out, hidden]. h = act(x gate + gateBias) * (x up + upBias)
/// with both factors cut by `cut`, or act(x up + upBias) without a gate; y = h down + downBias.
/// Biases may be null. A matrix in 4 or 8 bits is given by its codes instead, [in, hidden] or
/// [hidden, out].
struct FfnSource {
  int64_t in = 0, hidden = 0, out = 0;
  const float *gate = nullptr, *up = nullptr, *down = nullptr;
  const QuantizedSource *gateCodes = nullptr, *upCodes = nullptr, *downCodes = nullptr;
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
///
/// Matrices in 4 or 8 bits stay so. Many tokens use the weights (code - zero) * scale, widened in
/// cache, and have the bits of the same weights as floats; calls of few tokens (fewTokens) sum
/// codes first and differ by rounding. Matrices become floats at packing where gate and up differ
/// in bits, block or zero points, where bytes have zero points that are no integers, and that of
/// the way down also where a group's units belong to several blocks of hidden units.
class PackedFfn {
public:
  PackedFfn() = default;
  /// Experts are the units starts[e] .. starts[e + 1]; what precedes starts[0] is the core, always
  /// on. Empty starts: one dense block. `order`, if not empty, lists for each unit of the experts'
  /// numbering its place in the source. Raises Error for starts that do not ascend to `hidden`,
  /// for an order that is no permutation, for a cut of a block without a gate, and for codes of
  /// other bits or sizes.
  PackedFfn(const FfnSource &source, Activation act, const std::vector<int64_t> &starts = {},
            const std::vector<int64_t> &order = {}, FfnTypes types = {});
  static FfnTypes exactTypes(const FfnSource &source);
  /// Makes experts() add row e of vectors [experts, out] for each expert e that a token skips.
  void setSkipVectors(const float *vectors);

  int64_t in = 0, out = 0, experts = 0;
  Activation act = Activation::Identity;
  bool gated = false;
  Cut cut;
  FfnTypes types; // of what is not quantised
  QuantFormat innerFormat, outerFormat;
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
  /// [in][16], or [in][32] with the gate's 16 columns first; if quantised, a panel of the gate if
  /// any and one of up.
  const void *innerGroup(int64_t g) const { return inner.as<char>() + g * innerBytes(); }
  /// Panel p of block b: [groups of b][16][16], for its 16 outputs the rows of each group's units;
  /// if quantised, a block of 16 rows for each group. A block's panels follow each other.
  const void *outerPanel(int64_t b, int64_t p) const {
    return outer.as<char>() +
           (firstGroup[size_t(b)] * outPanels() + p * groupsOf(b)) * outerBytes();
  }
  int64_t groupsOf(int64_t b) const { return firstGroup[size_t(b) + 1] - firstGroup[size_t(b)]; }
  /// Elements of a group on the way in.
  int64_t innerStep() const { return in * (gated ? 32 : 16); }
  int64_t innerBlocks() const { return (in + innerFormat.block - 1) / innerFormat.block; }
  int64_t innerPanelBytes() const { return innerBlocks() * innerFormat.blockBytes(); }
  /// Bytes of a group on the way in, and of one in a panel on the way out.
  int64_t innerBytes() const {
    return innerFormat ? innerPanelBytes() * (gated ? 2 : 1) : innerStep() * bytesOf(types.inner);
  }
  int64_t outerBytes() const {
    return outerFormat ? outerFormat.blockBytes() : 256 * bytesOf(types.outer);
  }

private:
  void chooseFormats(FfnSource &source, const std::vector<int64_t> &units,
                     std::vector<float> (&wide)[3]);
  Buffer inner, outer;
};

/// The same weights as floats: codes become those, kept in `wide`.
FfnSource widened(FfnSource source, std::vector<float> (&wide)[3]);

/// The block in the types that hold its weights exactly, quantised matrices as they are.
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

/// The most tokens of a call that sum codes of 4 or 8 bits before they are scaled.
constexpr int64_t fewTokens = 8;

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
/// neither on the threads nor on the other tokens (with quantised matrices: on whether there are
/// more than fewTokens). Raises Error for ids out of range.
void experts(const PackedFfn &block, const float *x, int64_t ldx, int64_t tokens,
             const Routing &routing, float *y, int64_t ldy, const FfnEpilogue &epilogue = {});

} // namespace uoe::rt::fast
