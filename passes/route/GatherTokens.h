// Groups of heads on tokens of their own: what decompose-attention made, with tokens, tables of
// positions and masks gathered for each expert.
#pragma once
#include "dialects/uoe/Uoe.h"

namespace uoe {

/// The tokens that experts read: their first shared operand, float32 [batch, tokens, d], that a
/// matrix multiplies. Null if there is none.
mlir::Value tokensOf(ExpertsOp experts);

/// Why the experts of an attention cannot gather their tokens; "" if they can. With `compacted`,
/// tables of positions are not gathered.
std::string whyNotGathered(ExpertsOp experts, AttentionOp attention, bool compacted);

struct GatherOptions {
  bool compacted = false;   // an expert's tokens have the positions 0, 1, ...
  bool hidesBlanks = false; // places that no token fills are masked
};
/// Masks without the dimensions that are not gathered, once for all layers.
using GatheredMasks = llvm::DenseMap<mlir::Value, mlir::Value>;
/// Makes routed experts gather what they read. Their result is [batch, tokens, d] afterwards.
void gatherTokens(ExpertsOp experts, AttentionOp attention, const GatherOptions &options,
                  GatheredMasks &masks);

} // namespace uoe
