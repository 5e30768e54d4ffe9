// ONNX files in and out. The form in between is described in dialects/onnx/README.md.
#pragma once
#include "mlir/IR/BuiltinOps.h"
#include "mlir/IR/OwningOpRef.h"
#include "llvm/ADT/StringRef.h"

namespace uoe {

/// Reads an ONNX model. Weights stay in the file (and its external data files), which must not
/// change while the module lives. On failure null, with one diagnostic in `context` that names the
/// node or value, what was expected and what was found. Newer opsets than 24 are carried, with a
/// warning.
mlir::OwningOpRef<mlir::ModuleOp> readOnnx(llvm::StringRef path, mlir::MLIRContext *context);

/// The same from memory: all data is copied into the module; external data is refused. `name` is
/// for diagnostics.
mlir::OwningOpRef<mlir::ModuleOp> readOnnxBuffer(llvm::StringRef bytes, llvm::StringRef name,
                                                 mlir::MLIRContext *context);

struct WriteOnnxOptions {
  /// Puts tensors of more than 1 KiB into PATH.data. Happens by itself for more than `inlineLimit`
  /// bytes of them, since protobuf stops at 2 GiB.
  bool externalData = false;
  uint64_t inlineLimit = 1800u << 20;
};

/// Writes a module of onnx ops as an ONNX model: to temporary files beside `path`, renamed when
/// they are complete. Weights are streamed from their files. On failure a diagnostic, and nothing
/// is left behind.
mlir::LogicalResult writeOnnx(mlir::ModuleOp module, llvm::StringRef path,
                              const WriteOnnxOptions &options = {});

/// True if the bytes look like a ModelProto rather than text or bytecode.
bool looksLikeOnnx(llvm::StringRef bytes);

} // namespace uoe
