// A step of the tool itself as a pass.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/Pass/Pass.h"
#include <functional>

namespace uoe {

struct StepPass : mlir::PassWrapper<StepPass, mlir::OperationPass<>> {
  MLIR_DEFINE_EXPLICIT_INTERNAL_INLINE_TYPE_ID(StepPass)
  using Step = std::function<mlir::LogicalResult(mlir::ModuleOp)>;
  StepPass(llvm::StringRef name, Step step) : name(name), step(std::move(step)) {}
  llvm::StringRef getName() const override { return name; }
  void runOnOperation() override {
    auto module = llvm::dyn_cast<mlir::ModuleOp>(getOperation());
    if (!module)
      getOperation()->emitError() << "expected a module";
    if (!module || failed(step(module)))
      signalPassFailure();
  }
  llvm::StringRef name;
  Step step;
};

} // namespace uoe
