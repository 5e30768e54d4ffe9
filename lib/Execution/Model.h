// Model files of any form.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringRef.h"

namespace uoe {

/// Loads the dialects that a model may be written in.
void loadModelDialects(mlir::MLIRContext &context);

/// Whether a file is an ONNX model (else it is MLIR, text or bytecode). A suffix that tells the
/// form wins over a guess, so that a broken file is reported as what it is meant to be.
bool isOnnxModel(llvm::StringRef path, llvm::StringRef bytes);

/// Reads .onnx, .mlir or .mlirbc, told apart by suffix and content. On failure null, with a
/// diagnostic in `context`.
mlir::OwningOpRef<mlir::ModuleOp> readModel(llvm::StringRef path, mlir::MLIRContext &context);

} // namespace uoe
