// The reference meaning of routing in standard ONNX operators: dense and masked, slow, obviously
// right. Steps are numbered as in the descriptions of dialects/uoe/Routing.td.
#pragma once
#include "passes/lower/Lower.h"

namespace uoe::reference {

/// A routing as tensors.
struct Routing {
  mlir::Value weight; // [rows..., n], 0 where not chosen; null: every expert with weight 1
  mlir::Value chosen; // the same of i1; null: every expert
  mlir::Value flags;  // `chosen` as 0 and 1, where it is at hand
  mlir::Value places; // with a capacity: [B, c, n] rows that fill the places of each expert
  int64_t tokens = 1; // per row, 0 for a sample (see RoutingType)
  int64_t experts = 0;
};

/// Scores [rows..., n].
mlir::Value score(NodeBuilder &b, ScoreOp op);
/// A routing; `within` belongs to the op's operand of that name.
Routing select(NodeBuilder &b, SelectOp op, const Routing *within);

/// Weights (or flags) of rows brought to tokens, so that they broadcast against the tokens of `x`
/// [..., L, d]: patches repeated, samples with a dimension of 1.
mlir::Value perToken(NodeBuilder &b, mlir::Value rows, int64_t tokens, mlir::Value x);

/// The experts' result, by unrolling over experts; `body` copies the body with these operands and
/// gives its result. Fails with a diagnostic.
mlir::FailureOr<mlir::Value> gathered(NodeBuilder &b, ExpertsOp op, const Routing &routing,
                                      llvm::function_ref<mlir::Value(mlir::ValueRange)> body);
mlir::Value merged(NodeBuilder &b, ExpertsOp op, mlir::Value weight,
                   llvm::function_ref<mlir::Value(mlir::ValueRange)> body);
/// The same as one product, where isWeightedTensors() holds.
mlir::Value mergedTensors(NodeBuilder &b, ExpertsOp op, mlir::Value weight);

/// The operands of expert `e`: `shared`, then its slices.
llvm::SmallVector<mlir::Value> expertOperands(NodeBuilder &b, ExpertsOp op, mlir::ValueRange shared,
                                              int64_t e);

/// Reductions, whose axes were attributes in older opsets.
mlir::Value reduce(NodeBuilder &b, llvm::StringRef kind, mlir::Value x, int64_t axis,
                   bool keep = true);
mlir::Value castTo(NodeBuilder &b, mlir::Value x, mlir::Type element);
/// Length of a dimension, [1] of i64; the axis may be negative.
mlir::Value dimension(NodeBuilder &b, mlir::Value x, int64_t axis);

/// Replaces every uoe.recur in `root` by what it says, iteration by iteration. Gives their number,
/// those in copies of a body counted each.
int64_t unrollLoops(mlir::Operation *root);

} // namespace uoe::reference
