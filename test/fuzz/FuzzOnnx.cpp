// libFuzzer target: any bytes as a model. What is accepted must verify and must be writable again.
#include "lib/Onnx/Model.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include <cstdlib>

using namespace mlir;

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // A context of its own, so that memory is given back.
  MLIRContext context(MLIRContext::Threading::DISABLED);
  bool failedLoudly = false;
  ScopedDiagnosticHandler handler(&context, [&](Diagnostic &diagnostic) {
    failedLoudly |= diagnostic.getSeverity() == DiagnosticSeverity::Error;
    (void)diagnostic.str();
    return success();
  });
  llvm::StringRef bytes(reinterpret_cast<const char *>(data), size);
  OwningOpRef<ModuleOp> module = uoe::readOnnxBuffer(bytes, "fuzz", &context);
  if (!module) {
    if (!failedLoudly)
      std::abort(); // refused without a word
    return 0;
  }
  if (failed(verify(*module)) || failed(uoe::writeOnnx(*module, "/dev/null")))
    std::abort();
  return 0;
}
