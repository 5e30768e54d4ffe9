// The named pipelines, and the registration of all passes.
#include "passes/Passes.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Pass/PassRegistry.h"

namespace uoe {
#define GEN_PASS_REGISTRATION
#include "passes/Passes.h.inc"
} // namespace uoe

void uoe::registerAllPasses() { registerUoePasses(); }
