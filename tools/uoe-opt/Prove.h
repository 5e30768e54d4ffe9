// Decomposition and its proof on uoe-opt's command line.
#pragma once
#include "mlir/Pass/PassManager.h"
#include "passes/Passes.h"
#include <optional>
#include <string>

namespace uoe {

/// How the command line asks for feed-forward and attention blocks to be split; none if it doesn't.
std::optional<DecomposeFfnPassOptions> ffnPartition();
std::optional<DecomposeAttentionPassOptions> attentionPartition();

/// Adds the proof to the pipeline if it is asked for, on the model as it then is. `tokens` is the
/// file of calibration inputs, "" without.
void addProof(mlir::PassManager &passes, const std::string &samples, int threads);

} // namespace uoe
