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

/// A block's activation in calibration's terms.
calibration::Activation activationOf(FfnOp ffn);

/// Evaluates a block's weights. Fails with a diagnostic.
mlir::FailureOr<BlockWeights> loadWeights(FfnOp ffn, WeightReader &reader);

/// A dense block, with what a pass needs to decide about it. Weights are in memory while it is
/// visited.
struct VisitedBlock {
  FfnOp op;
  std::string name;
  const calibration::Tokens *inputs; // what the block received in the profile; null without one
  BlockWeights weights;
  double budget; // the block's attribute uoe.budget, else the pass's, of `denseWork`

  calibration::CalibrationData data() const { return {inputs, nullptr, nullptr}; }
  /// Multiply-adds a token of the block as the model came with it: merging neurons saves as well.
  double denseWork() const;
  double work() const { return static_cast<double>(weights.ffn.multiplyAdds()); }
  /// The budget as a share of the block as it is now.
  double ownBudget() const { return budget * denseWork() / work(); }
};

struct VisitOptions {
  llvm::StringRef pass;  // for messages
  std::string profile;   // "": none is needed, the blocks have no inputs
  double budget = 1;     // of blocks that have none of their own
  bool belowOne = false; // leave out blocks whose budget is 1 or more
  std::string progress;  // what a bar says; "": none
  // Matrices in 4 or 8 bits on the way to the hidden units stay packed where they can, and that on
  // the way out stays what it is; else all are rounded to float16.
  bool keepPacked = false;
};

/// Visits every block that can be routed: dense, of float32, with known weights and, if there is a
/// profile, with inputs in it. A remark tells why another is left as it is. The body may replace
/// the block. Fails with a diagnostic.
mlir::LogicalResult visitBlocks(mlir::ModuleOp module, const VisitOptions &options,
                                llvm::function_ref<mlir::LogicalResult(VisitedBlock &)> body);

/// A calibrated tensor as a value: a new initializer NAME of the block's model.
mlir::FailureOr<mlir::Value> newWeight(mlir::OpBuilder &builder, mlir::ModuleOp module,
                                       const std::string &name, llvm::ArrayRef<int64_t> shape,
                                       llvm::ArrayRef<float> values);

/// The same of a matrix that takes the place of another: rounded to the 16-bit type that holds the
/// other exactly, if one does, and stored in 16 bits where the other is, or in 4 or 8. Then it is
/// read as fast.
mlir::FailureOr<mlir::Value> newMatrixLike(mlir::OpBuilder &builder, mlir::ModuleOp module,
                                           const std::string &name, llvm::ArrayRef<int64_t> shape,
                                           llvm::ArrayRef<float> values, mlir::Value other,
                                           const calibration::MatrixView &otherValues);

/// Such a matrix of 16·n rows in 8 bits, with a scale for each 16 rows of a column: packed
/// (PackedMatrix.h).
mlir::FailureOr<mlir::Value> newPackedMatrix(mlir::OpBuilder &builder, mlir::ModuleOp module,
                                             const std::string &name, int64_t rows, int64_t columns,
                                             llvm::ArrayRef<float> values);

/// The weights [d, n] of a router that training starts from: NAME.router, by `kind` "seeded" (of
/// deviation 1/√d, from the seed and the name) or "zero".
mlir::FailureOr<mlir::Value> newRouter(mlir::OpBuilder &builder, mlir::ModuleOp module,
                                       const std::string &name, int64_t d, int64_t n,
                                       llvm::StringRef kind, int64_t seed);

/// Fails, with a diagnostic of `pass`, unless `value` is one of `allowed`.
mlir::LogicalResult checkChoice(mlir::ModuleOp module, llvm::StringRef pass, llvm::StringRef option,
                                llvm::StringRef value, llvm::ArrayRef<llvm::StringRef> allowed);

/// A value x ± y and the like, of x's type.
mlir::Value binary(mlir::OpBuilder &builder, mlir::Location loc, llvm::StringRef op, mlir::Value x,
                   mlir::Value y, mlir::Type type = {});

/// Records on `op`, which takes the block's place, what a pass decided and measured, for reports
/// and later runs: cost as a share of the block as it was visited, relative error of its output.
void annotate(mlir::Operation *op, const VisitedBlock &block, llvm::StringRef recipe, double cost,
              double error);

} // namespace uoe
