// emit-ptx: PTX of the elementwise groups' kernels.
#include "lib/Codegen/Gpu.h"
#include "lib/Files/AtomicFile.h"
#include "passes/Passes.h"
#include "llvm/Support/raw_ostream.h"

namespace uoe {
#define GEN_PASS_DEF_EMITPTXPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

struct EmitPtxPass : uoe::impl::EmitPtxPassBase<EmitPtxPass> {
  using EmitPtxPassBase::EmitPtxPassBase;

  void getDependentDialects(DialectRegistry &registry) const override {
    codegen::registerGpuDialects(registry);
  }

  void runOnOperation() override {
    // On a copy: the module itself stays as it is.
    OwningOpRef<ModuleOp> copy = getOperation().clone();
    Operation *kernels = codegen::buildGpuModule(*copy);
    if (!kernels) {
      getOperation().emitError(
          "has no rt.elementwise to make kernels of; run pass outline-elementwise first");
      return signalPassFailure();
    }
    if (failed(codegen::lowerToNvvm(*copy)))
      return signalPassFailure();
    FailureOr<std::string> text = codegen::emitPtx(kernels, chip);
    if (failed(text))
      return signalPassFailure();
    if (file.empty()) {
      llvm::outs() << *text;
      return;
    }
    AtomicFile out(file.getValue());
    bool good = out.open();
    if (good) {
      out.write(ArrayRef<char>(text->data(), text->size()));
      good = out.error.empty() && out.finish();
    }
    if (!good) {
      getOperation().emitError() << out.error;
      signalPassFailure();
    }
  }
};

} // namespace
