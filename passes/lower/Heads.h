// Heads whose experts are one matrix each (SwitchHead): ops that are the same but for their weights
// and can run as one, because one node joins their results.
#pragma once
#include "passes/lower/Lower.h"

namespace uoe {

struct Heads {
  /// All classified as ExpertBody::Product, alike, each with a routing of its own from linear
  /// scores of the same rows. With axis 1 they read the same input, with axis 0 each its own.
  llvm::SmallVector<ExpertsOp> experts;
  /// Concatenates the results along the last axis (axis 1) or adds them up (axis 0).
  onnx::NodeOp join;
  /// The other additions that it stands for, from the last to the first.
  llvm::SmallVector<onnx::NodeOp> sums;

  SelectOp select(size_t head) { return experts[head].getRouting().getDefiningOp<SelectOp>(); }
  ScoreOp score(size_t head) { return select(head).getScores().getDefiningOp<ScoreOp>(); }
};

/// The heads that `join` joins; none if it joins something else, or less than two.
Heads matchHeads(onnx::NodeOp join);

/// The inputs of heads side by side, [.., heads * in]; what heads were taken from where they were
/// gathered from [batch, heads, tokens, in] one by one. Made before the join.
mlir::Value joinInputs(NodeBuilder &b, Heads &heads);

} // namespace uoe
