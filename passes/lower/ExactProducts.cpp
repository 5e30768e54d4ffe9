// exact-products: rounding that an operator only permits is not done.
#include "dialects/onnx/Onnx.h"
#include "passes/Passes.h"

namespace uoe {
#define GEN_PASS_DEF_EXACTPRODUCTSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

namespace {

struct ExactProductsPass : uoe::impl::ExactProductsPassBase<ExactProductsPass> {
  void runOnOperation() override {
    getOperation().walk([](onnx::NodeOp node) {
      if (!node.isContrib("MatMulNBits") || !node.attribute("accuracy_level"))
        return;
      NamedAttrList attributes(node.getNodeAttrs());
      attributes.erase("accuracy_level");
      node.setNodeAttrsAttr(attributes.getDictionary(node.getContext()));
    });
  }
};

} // namespace
