// Rules that make one node simpler or remove it.
#pragma once
#include "passes/raise/Graph.h"

namespace uoe::raise {

/// What a rule found: a value to use instead of the node's first result, or a change in place, or
/// nothing.
struct Simplified {
  mlir::Value value;
  bool changed = false;
  static Simplified none() { return {}; }
  static Simplified inPlace() { return {mlir::Value(), true}; }
  static Simplified with(mlir::Value value) { return {value, bool(value)}; }
};

/// Applies the rules for the node's operator. Results are bit-identical but for the sign of a zero
/// to which zero is added.
Simplified simplify(Graph &graph, onnx::NodeOp node);
/// Those for nodes that only change the shape.
Simplified simplifyReshaping(Graph &graph, onnx::NodeOp node);

/// Reshape's second operand for this change of shape with 0 for what is copied and at most one -1,
/// if that can say it.
std::optional<llvm::SmallVector<int64_t>> reshapeTarget(llvm::ArrayRef<onnx::Dim> from,
                                                        llvm::ArrayRef<onnx::Dim> to);

/// Rewrites what computes small integer vectors (shapes, slice bounds) from symbolic dimensions to
/// read the dimensions where they enter the graph. Returns how many values were rewritten.
int64_t rebuildShapes(mlir::func::FuncOp function, Graph &graph);

} // namespace uoe::raise
