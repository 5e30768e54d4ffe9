// What the routing passes share: a block's weights and profile as calibration sees them, and
// results back into the IR.
#pragma once
#include "dialects/uoe/Uoe.h"
#include "include/uoe/calibration/Ffn.h"
#include "lib/Profile/Profile.h"
#include "lib/Weights/Weights.h"
#include "runtime/core/Tensor.h"

namespace uoe {

/// The weights of one block, evaluated and kept alive.
struct BlockWeights {
  calibration::FfnWeights ffn;
  std::vector<rt::Tensor> owners;
};

/// The blocks of a module that can be routed: dense, of float32, with known weights; a remark tells
/// why another is left dense.
std::vector<FfnOp> routableBlocks(mlir::ModuleOp module);

/// Evaluates a block's weights. Fails with a diagnostic.
mlir::FailureOr<BlockWeights> loadWeights(FfnOp ffn, WeightReader &reader);

/// A calibrated tensor as a value: a new initializer NAME of the block's model.
mlir::FailureOr<mlir::Value> newWeight(mlir::OpBuilder &builder, mlir::ModuleOp module,
                                       const std::string &name, llvm::ArrayRef<int64_t> shape,
                                       llvm::ArrayRef<float> values);

/// A value x ± y and the like, of x's type.
mlir::Value binary(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef op, mlir::Value x,
                   mlir::Value y, mlir::Type type = {});

/// Records what a pass decided and measured, for reports: the dense block's multiply-adds, cost and
/// error as f64 attributes of the op.
void annotate(mlir::Operation *op, llvm::StringRef name, llvm::StringRef recipe,
              int64_t multiplyAdds, double cost, double error);

} // namespace uoe
