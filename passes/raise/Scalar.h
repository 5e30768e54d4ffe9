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

/// The activation that maps `leaf` to `value`, if it is a known one.
std::optional<Activation> recogniseActivation(mlir::Value value, mlir::Value leaf);
/// value = act(gate) · up for some known activation, either order of the leaves: the activation,
/// and true if `first` is the gate.
std::optional<std::pair<Activation, bool>> recogniseGated(mlir::Value value, mlir::Value first,
                                                          mlir::Value second);

} // namespace uoe::raise
