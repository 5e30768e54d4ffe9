// Bodies that occur several times are compiled once.
#pragma once
#include "dialects/rt/Rt.h"
#include "mlir/IR/BuiltinOps.h"

namespace uoe::codegen {

/// The rt.elementwise ops of a module in classes of equal bodies, in the order of their first ops.
std::vector<llvm::SmallVector<rtir::ElementwiseOp>> distinctBodies(mlir::ModuleOp module);

} // namespace uoe::codegen
