// Evaluating a node on constants with the runtime's own kernels.
#pragma once
#include "lib/Onnx/Operators/Inference.h"
#include "lib/Weights/Weights.h"

namespace uoe::raise {

/// The results of `node`, whose operands must all be constants: one attribute per result, null for
/// absent ones. Null if it can't be evaluated: no kernel, random, subgraphs, strings, operands or
/// results of more than `limit` bytes in all, or the kernel refuses.
std::optional<llvm::SmallVector<mlir::TypedAttr>>
evaluate(onnx::NodeOp node, onnx::Inference &facts, WeightReader &weights, uint64_t limit);

} // namespace uoe::raise
