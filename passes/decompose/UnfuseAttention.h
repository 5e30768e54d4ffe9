// Fused attention operators, spelled with standard ones around a plain attention block.
#pragma once
#include "dialects/uoe/Uoe.h"
#include "passes/raise/Match.h"

namespace uoe {

/// A fused operator's parts, made before its block: projection, rotation, cache and masks as nodes,
/// the core as a uoe.attention with operands. Null `core` with the reason in `why` if the operator
/// has a form that standard operators don't.
struct UnfusedAttention {
  AttentionOp core;
  /// For each result of the block what it is now; null for results that nothing uses.
  llvm::SmallVector<mlir::Value> results;
  /// Everything that was made, in order.
  llvm::SmallVector<mlir::Operation *> made;
  std::string why;
};

/// `block` is a uoe.attention without operands that holds one fused operator. The block itself and
/// its uses stay as they are.
UnfusedAttention unfuseAttention(AttentionOp block, raise::Constants &facts);

} // namespace uoe
