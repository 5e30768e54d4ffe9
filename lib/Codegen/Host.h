// Kernels for this machine's CPU: rt.elementwise to vector code, compiled in memory.
#pragma once
#include "dialects/rt/Rt.h"
#include "mlir/IR/OwningOpRef.h"
#include "runtime/core/Generated.h"

namespace uoe::codegen {

/// The kernels of a module's rt.elementwise ops.
struct HostKernels {
  /// Per op its kernel; ops with equal bodies share one.
  llvm::DenseMap<mlir::Operation *, std::shared_ptr<const rt::GeneratedKernel>> kernels;
  size_t distinct = 0;
  double seconds = 0; // that making them took
};

/// The function of a body, and how many values of an element it keeps in scratch.
struct KernelName {
  std::string name;
  int64_t kept = 0;
};

/// Bodies to functions: a module of one llvm.func per distinct body, named in `names`, in vector
/// code over 16 lanes that any x86 or ARM processor's registers are filled with by LLVM.
mlir::OwningOpRef<mlir::ModuleOp>
buildHostModule(mlir::ModuleOp module, llvm::DenseMap<mlir::Operation *, KernelName> &names);

/// Compiles the kernels of all rt.elementwise ops in `module` for this processor. `listing`, if
/// given, gets their text before they are lowered to LLVM. Fails with a diagnostic.
mlir::FailureOr<HostKernels> compileForHost(mlir::ModuleOp module,
                                            llvm::raw_ostream *listing = nullptr);

} // namespace uoe::codegen
