#pragma once
#include "mlir/IR/DialectRegistry.h"

namespace uoe {
/// All dialects and passes, ours and upstream's. Once per process.
void registerEverything(mlir::DialectRegistry &registry);
} // namespace uoe
