// What the verifiers of this room share.
#pragma once
#include "dialects/uoe/Uoe.h"

namespace uoe {

/// Two sizes contradict each other only where both are known.
inline bool agree(int64_t a, int64_t b) {
  return mlir::ShapedType::isDynamic(a) || mlir::ShapedType::isDynamic(b) || a == b;
}

inline mlir::RankedTensorType ranked(mlir::Value value) {
  return value ? mlir::dyn_cast<mlir::RankedTensorType>(value.getType()) : mlir::RankedTensorType();
}

/// The terminator of a one-block region that yields, or null.
inline YieldOp yieldOf(mlir::Region &region) {
  if (!region.hasOneBlock() || region.front().empty())
    return {};
  return mlir::dyn_cast<YieldOp>(region.front().back());
}

} // namespace uoe
