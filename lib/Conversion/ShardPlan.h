// Placements of experts for others to read: serving engines, launchers.
#pragma once
#include "lib/Report/Number.h"
#include "mlir/IR/BuiltinOps.h"

namespace uoe {

/// The module's placements (docs/parallel.md): for each layer, in the module's order, the rank of
/// each expert and the experts of each rank. `physical_to_logical_map` [layers][experts], the
/// experts in the order of their ranks, is there if all layers have the same number of experts and
/// every rank has its equal part, which it implies. No layers: nothing has a placement.
report::Json shardPlan(mlir::ModuleOp module);

/// Writes it to a file. Fails with a diagnostic, without a file, if nothing has a placement.
mlir::LogicalResult writeShardPlan(mlir::ModuleOp module, const std::string &path);

} // namespace uoe
