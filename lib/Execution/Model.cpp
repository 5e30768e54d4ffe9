#include "lib/Execution/Model.h"
#include "dialects/onnx/Onnx.h"
#include "dialects/rt/Rt.h"
#include "dialects/uoe/Uoe.h"
#include "lib/Onnx/Model.h"
#include "lib/Weights/Weights.h"
#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/Parser/Parser.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/SourceMgr.h"

using namespace mlir;

void uoe::loadModelDialects(MLIRContext &context) {
  context.loadDialect<func::FuncDialect, onnx::OnnxDialect, UoeDialect, rtir::RtDialect>();
  // Of bodies of rt.elementwise, loaded where a model has some.
  DialectRegistry registry;
  registry.insert<arith::ArithDialect, math::MathDialect>();
  context.appendDialectRegistry(registry);
}

bool uoe::isOnnxModel(StringRef path, StringRef bytes) {
  if (bytes.starts_with("ML\xefR")) // bytecode
    return false;
  if (path.ends_with(".onnx"))
    return true;
  return !path.ends_with(".mlir") && !path.ends_with(".mlirbc") && looksLikeOnnx(bytes);
}

OwningOpRef<ModuleOp> uoe::readModel(StringRef path, MLIRContext &context) {
  auto buffer =
      llvm::MemoryBuffer::getFile(path, /*IsText=*/false, /*RequiresNullTerminator=*/false);
  if (!buffer) {
    emitError(UnknownLoc::get(&context))
        << "cannot read '" << path << "': " << buffer.getError().message();
    return {};
  }
  if (isOnnxModel(path, (*buffer)->getBuffer()))
    return readOnnx(path, &context);
  auto module = parseSourceFile<ModuleOp>(path, ParserConfig(&context));
  if (module)
    resolvePaths(*module, llvm::sys::path::parent_path(path));
  return module;
}
