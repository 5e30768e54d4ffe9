// lower-gpu-kernels: generated kernels from the gpu dialect to NVVM.
#include "lib/Codegen/Gpu.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Passes.h"

namespace uoe {
#define GEN_PASS_DEF_LOWERGPUKERNELSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

namespace {

struct LowerGpuKernelsPass : uoe::impl::LowerGpuKernelsPassBase<LowerGpuKernelsPass> {
  using LowerGpuKernelsPassBase::LowerGpuKernelsPassBase;

  void runOnOperation() override {
    for (auto kernels : getOperation().getOps<mlir::gpu::GPUModuleOp>())
      if (failed(uoe::codegen::lowerToNvvm(kernels)))
        return signalPassFailure();
  }
};

} // namespace
