// Values that depend on weights alone: evaluated with the runtime's own kernels, one at a time.
#pragma once
#include "lib/Constants/Runtime.h"

namespace uoe {

/// True if `value` is computed from initializers and constants alone (subgraphs and random
/// operators excluded). `cache` is shared between calls on one module.
bool isConstantExpression(mlir::Value value, llvm::DenseMap<mlir::Value, bool> &cache);

/// The operations that a constant expression stands on, operands before users. Fails with a
/// diagnostic at what depends on an input.
mlir::LogicalResult expressionOf(mlir::Value value, llvm::SetVector<mlir::Operation *> &ops);

/// Evaluates a constant expression. Weights stay mapped; intermediate results are freed on the way.
/// Fails with a diagnostic at the op that cannot be evaluated.
mlir::FailureOr<rt::Tensor> evaluateConstant(mlir::Value value, WeightReader &weights);

} // namespace uoe
