// lower-gpu-kernels: generated kernels from the gpu dialect to NVVM.
#include "lib/Codegen/Gpu.h"
#include "passes/Passes.h"

namespace uoe {
#define GEN_PASS_DEF_LOWERGPUKERNELSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

namespace {

struct LowerGpuKernelsPass : uoe::impl::LowerGpuKernelsPassBase<LowerGpuKernelsPass> {
  using LowerGpuKernelsPassBase::LowerGpuKernelsPassBase;

  void getDependentDialects(mlir::DialectRegistry &registry) const override {
    uoe::codegen::registerGpuDialects(registry);
  }
  void runOnOperation() override {
    if (failed(uoe::codegen::lowerToNvvm(getOperation())))
      signalPassFailure();
  }
};

} // namespace
