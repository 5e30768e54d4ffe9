// The row form of a body as a sequence of loops over a row: each reduction needs all elements
// before anything that reads its result can begin.
#pragma once
#include "dialects/rt/Rt.h"

namespace uoe::codegen {

/// Loop k computes `ops[k]` for each element and joins what `reductions[k]` reduce; before it,
/// `rowOps[k]` compute row values; rowOps[loops] come after the last loop. Elements of results are
/// stored in the last loop, so that a result may lie where an operand lies.
struct RowPlan {
  /// `keep`: values that are expensive and needed in several loops are kept in scratch; else they
  /// are computed again.
  RowPlan(rtir::ElementwiseOp op, bool keep);

  size_t loops = 1;
  llvm::DenseSet<mlir::Value> rows; // row values, see rt.elementwise
  std::vector<llvm::SmallVector<mlir::Operation *>> ops, rowOps;
  std::vector<llvm::SmallVector<rtir::ReduceOp>> reductions;
  std::vector<llvm::SmallVector<mlir::Value>> stored, loaded; // per loop: to and from scratch
  llvm::SmallVector<mlir::Value> kept; // f32 values in scratch, in the order of their places

private:
  size_t stageOf(mlir::Value value) const { return stages.lookup(value); }
  bool isEverywhere(mlir::Value value) const;
  void need(mlir::Value value, size_t loop, llvm::DenseSet<mlir::Operation *> &needed,
            llvm::DenseSet<mlir::Value> &read) const;
  void fill(mlir::Block &body);

  llvm::DenseMap<mlir::Value, size_t> stages; // the first loop in which a value can be computed
  llvm::DenseMap<mlir::Value, size_t> keptIn; // the loop that stores it
  std::vector<llvm::SmallVector<mlir::Value>> roots;
};

} // namespace uoe::codegen
