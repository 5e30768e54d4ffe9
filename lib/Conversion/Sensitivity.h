// How much the whole model suffers from what routing does to one block: the measure by which a plan
// weighs the blocks' errors against each other.
#pragma once
#include "lib/Conversion/Calibrate.h"
#include "mlir/Pass/Pass.h"

namespace uoe {

struct SensitivityOptions {
  CalibrationOptions calibration;
  int64_t tokens = 512, window = 128; // of text: ids that the model sees each time, in windows
  int64_t arrays = 8;                 // of arrays: samples
};

/// Routes one block at a time by a pass that `route` makes (it must obey uoe.budget and leave out
/// blocks whose budget is 1), runs the model, and sets the block's attribute
///   uoe.sensitivity = loss of the model with this block at `budget` and all others dense.
/// The loss is the mean KL divergence per token (nats) from the dense model's next-token
/// distribution; for a model without one, the relative squared error of its hidden states. What
/// calibration knows is the block's own error; layers differ by an order of magnitude in what that
/// does to the output. Needs a run of all these for each block. Fails with a diagnostic.
mlir::LogicalResult measureSensitivity(mlir::ModuleOp raised, const SensitivityOptions &options,
                                       double budget,
                                       llvm::function_ref<std::unique_ptr<mlir::Pass>()> route);

} // namespace uoe
