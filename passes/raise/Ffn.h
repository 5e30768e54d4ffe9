// Recognition of feed-forward blocks.
#pragma once
#include "passes/raise/Match.h"

namespace uoe::raise {

/// One operand of the activation: `size` columns of a linear map of the block's input, from `start`
/// on, each `step` after the one before.
struct FfnBranch {
  mlir::Value value;
  Linear linear;
  int64_t start = 0, size = 0, step = 1;
  /// A bias that a fused activation adds, or null.
  mlir::Value extraBias;
};

struct FfnMatch {
  Activation activation = Activation::identity;
  /// The function of a custom activation, as in uoe.ffn.
  mlir::ArrayAttr function;
  /// The hidden values are `factor` times what the block's are; the down-projection makes up for
  /// it.
  double factor = 1.0;
  /// What cuts the hidden values, as in uoe.ffn.
  std::optional<double> limit;
  double upOffset = 0.0;
  FfnBranch up;
  std::optional<FfnBranch> gate;
  Linear down;
  /// Biases that are added to the down-projection after its core.
  llvm::SmallVector<mlir::Value> downBiases;
  /// The block's input [..., d] and its result [..., d], of equal leading dimensions.
  mlir::Value input, root;
  /// The input's leading dimensions are one in the result, [.., d] to [n, d].
  bool flattens = false;
  Nodes nodes;
};

/// Outcome for one linear map as down-projection: a match, or a reason if it looked like one, or
/// neither.
struct FfnOutcome {
  std::optional<FfnMatch> match;
  std::optional<Reason> reason;
};
/// An expert of a mixture (`expert`) may be narrower than its input without joining a residual.
FfnOutcome matchFfn(onnx::NodeOp node, Constants &facts, bool expert = false);

/// The operands of uoe.ffn, as nodes at the builder's position.
struct FfnOperands {
  mlir::Value up, gate, down, biasUp, biasGate, biasDown;
};
FfnOperands makeOperands(mlir::OpBuilder &builder, mlir::Location loc, const FfnMatch &match);

/// The branch of an FFN that `value` is, if it is (columns of) a linear map with constant weights.
std::optional<FfnBranch> matchBranch(mlir::Value value, Constants &facts);

} // namespace uoe::raise
