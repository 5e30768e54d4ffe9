// What the verifiers of this room share.
#pragma once
#include "dialects/uoe/Uoe.h"
#include <numeric>

namespace uoe {

/// Two sizes contradict each other only where both are known.
inline bool agree(int64_t a, int64_t b) {
  return mlir::ShapedType::isDynamic(a) || mlir::ShapedType::isDynamic(b) || a == b;
}

inline mlir::RankedTensorType ranked(mlir::Value value) {
  return value ? mlir::dyn_cast<mlir::RankedTensorType>(value.getType()) : mlir::RankedTensorType();
}

/// How many experts each group has. Fails, with an error at `op`, unless there is one group for
/// each expert (a known number), numbered from 0 without gaps.
inline llvm::FailureOr<llvm::SmallVector<int64_t>>
groupSizes(mlir::Operation *op, llvm::ArrayRef<int64_t> groups, int64_t experts) {
  if (!agree(static_cast<int64_t>(groups.size()), experts))
    return op->emitOpError("needs a group for each of ")
           << experts << " experts, found " << groups.size() << " groups given";
  llvm::SmallVector<int64_t> sizes;
  for (int64_t group : groups) {
    if (group < 0 || group >= static_cast<int64_t>(groups.size()))
      return op->emitOpError("needs groups numbered from 0 without gaps, found ") << group;
    sizes.resize(std::max(sizes.size(), static_cast<size_t>(group) + 1));
    ++sizes[group];
  }
  for (auto [group, size] : llvm::enumerate(sizes))
    if (size == 0)
      return op->emitOpError("has no expert in group ")
             << group << "; number the groups without gaps";
  return sizes;
}

/// The experts that the smallest k of the groups hold.
inline int64_t smallestGroups(llvm::SmallVector<int64_t> sizes, uint64_t k) {
  llvm::sort(sizes);
  return std::accumulate(sizes.begin(), sizes.begin() + static_cast<int64_t>(k), int64_t(0));
}

/// The terminator of a one-block region that yields, or null.
inline YieldOp yieldOf(mlir::Region &region) {
  if (!region.hasOneBlock() || region.front().empty())
    return {};
  return mlir::dyn_cast<YieldOp>(region.front().back());
}

} // namespace uoe
