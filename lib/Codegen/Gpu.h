// Kernels for NVIDIA GPUs: rt.elementwise to the gpu dialect, to NVVM, to PTX. No function of a
// library is called, so PTX is complete and no CUDA toolkit is needed to make it.
#pragma once
#include "mlir/Dialect/GPU/IR/GPUDialect.h"
#include "mlir/IR/BuiltinOps.h"

namespace uoe::codegen {

/// Adds `gpu.module @generated` with one kernel per distinct body of the module's rt.elementwise
/// ops; null, and no change, if there are none. Parameters of a kernel, pointers to global memory:
///
///   operands, results   the first elements
///   loops               i64: their number, then per loop from the innermost out its length and
///   each
///                       operand's stride in elements, 0 where it repeats
///   count               i64: elements of the loops; of the row form, rows
///   length, steps       of the row form: elements of a row, and each operand's step within it
///
/// Elementwise kernels are grid-stride loops, one element a thread and turn. In the row form a warp
/// takes a row: blocks must be of whole warps.
mlir::gpu::GPUModuleOp buildGpuModule(mlir::ModuleOp module);

/// The kernels in the LLVM dialect with NVVM's operations.
mlir::LogicalResult lowerToNvvm(mlir::gpu::GPUModuleOp kernels);

/// What emitPtx needs of a context: the LLVM and NVVM dialects' translations.
void registerPtxTranslations(mlir::DialectRegistry &registry);

/// PTX of kernels in that form, for a chip ("sm_80"). Fails with a diagnostic.
mlir::FailureOr<std::string> emitPtx(mlir::gpu::GPUModuleOp kernels, llvm::StringRef chip);

} // namespace uoe::codegen
