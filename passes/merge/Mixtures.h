// What merging and pruning of experts share: a native mixture as calibration sees it.
#pragma once
#include "include/uoe/calibration/Mixture.h"
#include "passes/route/Route.h"

namespace uoe {

/// Routed feed-forward experts that a model came with (moe-to-experts), with all that hangs on
/// their routing. Weights are in memory while it is visited.
struct VisitedMixture {
  SelectOp select;
  ExpertsOp experts;
  ExpertsOp rows; // the weighted sum of the experts' output biases; null if there are none
  std::string name;
  int64_t keep; // experts to keep: the op's attribute uoe.keep, else the pass's
  calibration::Mixture mixture;
  calibration::MixtureData data;
  std::vector<rt::Tensor> owners;
};

/// A choice in calibration's terms; empty, or what it has that calibration does not know.
std::string selectionOf(SelectOp select, WeightReader &reader, calibration::Selection &selection);

/// Visits every mixture that has inputs and scores in the profile; a remark tells why another is
/// left as it is. Fails with a diagnostic.
mlir::LogicalResult visitMixtures(mlir::ModuleOp module, llvm::StringRef pass,
                                  const std::string &profile, int64_t keep,
                                  llvm::function_ref<mlir::LogicalResult(VisitedMixture &)> body);

/// Replaces an op of a mixture by one over other experts: `sliced` operands, as many as before,
/// each expert of `sizes`, behind `slots` of `routing` (empty: slot e is expert e). Attributes
/// stay.
ExpertsOp withExperts(ExpertsOp op, llvm::ArrayRef<mlir::Value> sliced,
                      llvm::ArrayRef<int64_t> sizes, mlir::Value routing,
                      llvm::ArrayRef<int64_t> slots);

} // namespace uoe
