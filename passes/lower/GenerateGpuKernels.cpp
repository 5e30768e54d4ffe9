// generate-gpu-kernels: a gpu.module with a kernel for each distinct elementwise group.
#include "lib/Codegen/Gpu.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/ControlFlow/IR/ControlFlow.h"
#include "mlir/Dialect/LLVMIR/LLVMDialect.h"
#include "mlir/Dialect/LLVMIR/NVVMDialect.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/SCF/IR/SCF.h"
#include "passes/Passes.h"

namespace uoe {
#define GEN_PASS_DEF_GENERATEGPUKERNELSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

namespace {

struct GenerateGpuKernelsPass : uoe::impl::GenerateGpuKernelsPassBase<GenerateGpuKernelsPass> {
  using GenerateGpuKernelsPassBase::GenerateGpuKernelsPassBase;
  void runOnOperation() override { uoe::codegen::buildGpuModule(getOperation()); }
};

} // namespace
