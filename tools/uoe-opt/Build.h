// Models that are built rather than read.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"

namespace uoe {

/// --build was given: there is no IN.
bool builds();
/// --build list: prints the presets.
bool listsPresets();
void printPresets();
/// The model of --build, null with a diagnostic. Without `weights` all of them are zero.
mlir::OwningOpRef<mlir::ModuleOp> buildModel(mlir::MLIRContext *context, bool weights);

} // namespace uoe
