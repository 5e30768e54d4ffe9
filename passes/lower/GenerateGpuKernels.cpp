// generate-gpu-kernels: a gpu.module with a kernel for each distinct elementwise group.
#include "lib/Codegen/Gpu.h"
#include "passes/Passes.h"

namespace uoe {
#define GEN_PASS_DEF_GENERATEGPUKERNELSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

namespace {

struct GenerateGpuKernelsPass : uoe::impl::GenerateGpuKernelsPassBase<GenerateGpuKernelsPass> {
  using GenerateGpuKernelsPassBase::GenerateGpuKernelsPassBase;

  void getDependentDialects(mlir::DialectRegistry &registry) const override {
    uoe::codegen::registerGpuDialects(registry);
  }
  void runOnOperation() override { uoe::codegen::buildGpuModule(getOperation()); }
};

} // namespace
