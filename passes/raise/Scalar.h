// Elementwise functions recognised by what they compute, not by how they are spelled: a slice of
// the graph that maps scalars to a scalar is evaluated at sample points and compared with the
// functions that we know.
#pragma once
#include "passes/raise/Match.h"

namespace uoe::raise {

using Assignment = llvm::SmallDenseMap<mlir::Value, double, 4>;

/// The value of `value` when the leaves have the given values (element by element). None if an
/// operator on the way is not elementwise, or a constant has several different elements.
std::optional<double> evaluate(mlir::Value value, const Assignment &leaves);

/// True for an operator that `evaluate` knows.
bool isElementwise(onnx::NodeOp node);

/// Operands of an elementwise node that are data (not parameters such as zero points or `to`).
llvm::SmallVector<mlir::Value> elementwiseOperands(onnx::NodeOp node);

/// A function of the dialect times a constant; `firstIsGate` tells the gate of a product of two,
/// `limit` and `upOffset` what cuts it, as in uoe.ffn.
/// `function` is that of a custom activation, as in uoe.ffn.
struct Recognised {
  Activation activation;
  double factor = 1.0;
  bool firstIsGate = false;
  std::optional<double> limit{};
  double upOffset = 0.0;
  mlir::ArrayAttr function{};
};

/// value = factor · act(leaf) for some known activation.
std::optional<Recognised> recogniseActivation(mlir::Value value, mlir::Value leaf);
/// value = factor · act(gate) · up for some known activation, either order of the leaves.
std::optional<Recognised> recogniseGated(mlir::Value value, mlir::Value first, mlir::Value second);
/// value = f(leaf) for a function f that no name is known for and that is no line.
std::optional<Recognised> spellActivation(mlir::Value value, mlir::Value leaf);
/// value = f(gate) · up for such a function, either order of the leaves.
std::optional<Recognised> spellGated(mlir::Value value, mlir::Value first, mlir::Value second);
/// value = act(min(gate, limit)) · (clip(up, -limit, limit) + upOffset), with a limit, an offset or
/// both, either order of the leaves.
std::optional<Recognised> recogniseCutGated(mlir::Value value, mlir::Value first,
                                            mlir::Value second);

} // namespace uoe::raise
