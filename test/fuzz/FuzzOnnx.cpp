// libFuzzer target: any bytes as a model. What is accepted must verify and must be writable again.
#include "lib/Onnx/Model.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/IR/MLIRContext.h"
#include "mlir/IR/Verifier.h"
#include <cstdlib>
#include <optional>

using namespace mlir;

// The containers and allocators of LLVM's dylib are built without the sanitizer.
extern "C" const char *__asan_default_options() {
  return "detect_container_overflow=0:allow_user_poisoning=0";
}

extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  // A new context from time to time, so that memory is given back; not every time, since making one
  // is slow.
  static std::optional<MLIRContext> current;
  static unsigned runs = 0;
  if (runs++ % 256 == 0)
    current.emplace(MLIRContext::Threading::DISABLED);
  MLIRContext &context = *current;
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
