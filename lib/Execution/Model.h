// Model files of any form.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringRef.h"

namespace uoe {

/// Loads the dialects that a model may be written in.
void loadModelDialects(mlir::MLIRContext &context);

/// Reads .onnx, .mlir or .mlirbc, told apart by content. On failure null, with a diagnostic in
/// `context`.
mlir::OwningOpRef<mlir::ModuleOp> readModel(llvm::StringRef path, mlir::MLIRContext &context);

} // namespace uoe
