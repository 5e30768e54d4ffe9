// Composite functions that several nodes spell, recognised and made one standard node.
#pragma once
#include "lib/Weights/Weights.h"
#include "passes/raise/Simplify.h"

namespace uoe::raise {

/// The node that makes a value, if it is this operator of ONNX's own domain; `casts` looks through
/// changes of float type.
onnx::NodeOp producer(mlir::Value value, llvm::StringRef op);
/// The value before casts between float types.
mlir::Value withoutCasts(Graph &graph, mlir::Value value);
/// Whether a constant's value is `expected` as far as its element type can say.
bool isAbout(Graph &graph, mlir::Value value, double expected);
/// A node of two operands of which one is `value`: the other; null otherwise.
mlir::Value otherOperand(onnx::NodeOp node, mlir::Value value);
/// True if the value depends on constants alone (a few nodes deep).
bool isConstantExpression(Graph &graph, mlir::Value value, int depth = 0);

/// Each looks at a node as the last of a composite; value to use instead of its first result, or
/// nothing.
Simplified recogniseRms(Graph &graph, onnx::NodeOp root);
Simplified recogniseLayerNorm(Graph &graph, onnx::NodeOp root);
Simplified recogniseActivation(Graph &graph, onnx::NodeOp root);
Simplified recogniseSoftmax(Graph &graph, onnx::NodeOp root);
Simplified recogniseRotary(Graph &graph, onnx::NodeOp root, WeightReader &weights);
Simplified recogniseMask(Graph &graph, onnx::NodeOp root, WeightReader &weights);
Simplified recogniseLateMask(Graph &graph, onnx::NodeOp root, WeightReader &weights);
/// Heads that are modules of their own, side by side in a Concat: projections and products of all.
Simplified canonicalHeads(Graph &graph, onnx::NodeOp root, WeightReader &weights);
/// Gemm as MatMul and Add; reshapes that only merge leading axes move behind products and biases.
Simplified canonicalLinear(Graph &graph, onnx::NodeOp root);
/// A sum of products of one input with matrices, or with two in a row (LoRA that was not merged),
/// as one product.
Simplified canonicalSum(Graph &graph, onnx::NodeOp root);
/// Einsum of two operands as Transpose, Reshape and MatMul.
Simplified canonicalEinsum(Graph &graph, onnx::NodeOp root);
/// Weights in one-hot rows of a choice, summed over the choices: a ScatterElements of the weights.
Simplified canonicalChoice(Graph &graph, onnx::NodeOp root);
/// Heads that are repeated for groups of queries are repeated last: after they were transposed,
/// regrouped and rotated.
Simplified canonicalRepeat(Graph &graph, onnx::NodeOp root);
/// Transpositions move towards the outputs past what treats elements or axes alike; 1x1
/// convolutions over sequences and products with one shared head in the usual order of axes.
Simplified canonicalTranspose(Graph &graph, onnx::NodeOp root);

} // namespace uoe::raise
