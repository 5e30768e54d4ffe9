// The one file that includes the registration of everything upstream: it takes long to compile.
#include "Register.h"
#include "dialects/onnx/Onnx.h"
#include "dialects/rt/Rt.h"
#include "dialects/uoe/Uoe.h"
#include "mlir/InitAllDialects.h"
#include "mlir/InitAllExtensions.h"
#include "mlir/InitAllPasses.h"
#include "passes/Passes.h"

void uoe::registerEverything(mlir::DialectRegistry &registry) {
  mlir::registerAllDialects(registry);
  mlir::registerAllExtensions(registry);
  mlir::registerAllPasses();
  registry.insert<onnx::OnnxDialect, UoeDialect, rtir::RtDialect>();
  registerAllPasses();
}
