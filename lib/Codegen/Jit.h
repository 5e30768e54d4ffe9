// LLVM's just-in-time compiler for this machine's processor.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include <memory>

namespace uoe::codegen {

/// Machine code in memory; it goes when the last owner does.
class HostCode {
public:
  virtual ~HostCode() = default;
  /// Lowers `kernels` (llvm.func with scf, arith, math and vector inside) to LLVM in place and
  /// compiles it. Fails with a diagnostic.
  static mlir::FailureOr<std::shared_ptr<HostCode>> compile(mlir::ModuleOp kernels);
  /// The address of a function, or null.
  virtual void *lookup(llvm::StringRef name) = 0;
};

/// scf, arith, math and vector inside llvm.func to the LLVM dialect.
mlir::LogicalResult lowerToLlvm(mlir::ModuleOp kernels);

} // namespace uoe::codegen
