// Kernels for NVIDIA GPUs: rt.elementwise to the gpu dialect, to NVVM, to PTX. No function of a
// library is called, so PTX is complete and no CUDA toolkit is needed to make it.
//
// A gpu.module is an Operation * here: the headers of NVVM and of the gpu dialect take half a
// minute to compile, and what calls this needs nothing of them.
#pragma once
#include "mlir/IR/BuiltinOps.h"

namespace uoe::codegen {

/// The dialects that the functions below make, and their translations to LLVM IR.
void registerGpuDialects(mlir::DialectRegistry &registry);

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
mlir::Operation *buildGpuModule(mlir::ModuleOp module);

/// The kernels of all gpu.modules in the LLVM dialect with NVVM's operations.
mlir::LogicalResult lowerToNvvm(mlir::ModuleOp module);

/// PTX of a gpu.module in that form, for a chip ("sm_80"). Fails with a diagnostic.
mlir::FailureOr<std::string> emitPtx(mlir::Operation *kernels, llvm::StringRef chip);

} // namespace uoe::codegen
