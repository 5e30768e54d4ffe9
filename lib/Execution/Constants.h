// Values that depend on weights alone: evaluated with the runtime's own kernels, one at a time.
#pragma once
#include "lib/Weights/Weights.h"
#include "runtime/core/Tensor.h"

namespace uoe {

/// True if `value` is computed from initializers and constants alone (subgraphs and random
/// operators excluded). `cache` is shared between calls on one module.
bool isConstantExpression(mlir::Value value, llvm::DenseMap<mlir::Value, bool> &cache);

/// Evaluates a constant expression. Weights stay mapped; intermediate results are freed on the way.
/// Fails with a diagnostic at the op that cannot be evaluated.
mlir::FailureOr<rt::Tensor> evaluateConstant(mlir::Value value, WeightReader &weights);

/// A tensor's bytes as ONNX's raw form and its MLIR type, for WeightWriter.
mlir::RankedTensorType tensorTypeOf(const rt::Tensor &tensor, mlir::MLIRContext *context);

} // namespace uoe
