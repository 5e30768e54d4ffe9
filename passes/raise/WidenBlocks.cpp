// widen-blocks: feed-forward blocks and mixtures of half precision are computed in float32 between
// casts. What calibrates, routes and merges knows float32 only.
#include "passes/Passes.h"
#include "passes/raise/Match.h"

namespace uoe {
#define GEN_PASS_DEF_WIDENBLOCKSPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

static Type halfOf(Value value) {
  auto tensor = dyn_cast<TensorType>(value.getType());
  Type element = tensor ? tensor.getElementType() : Type();
  return element && (element.isF16() || element.isBF16()) ? element : Type();
}

namespace {
struct WidenBlocksPass : uoe::impl::WidenBlocksPassBase<WidenBlocksPass> {
  void runOnOperation() override {
    SmallVector<Operation *> blocks;
    getOperation().walk([&](Operation *op) {
      auto moe = dyn_cast<MoeOp>(op);
      if ((isa<FfnOp>(op) || (moe && moe.getInput())) && halfOf(op->getResult(0)))
        blocks.push_back(op);
    });
    for (Operation *op : blocks)
      widen(op);
  }

  static void widen(Operation *op) {
    OpBuilder builder(op);
    Type single = builder.getF32Type(), half = halfOf(op->getResult(0));
    for (OpOperand &operand : op->getOpOperands())
      if (halfOf(operand.get()))
        operand.set(raise::makeCast(builder, op->getLoc(), operand.get(), single));
    // The spelling is the block in half precision.
    op->getRegion(0).dropAllReferences();
    op->getRegion(0).getBlocks().clear();
    if (auto moe = dyn_cast<MoeOp>(op))
      moe.removeFusedAttr();
    Value result = op->getResult(0);
    result.setType(cast<TensorType>(result.getType()).clone(single));
    builder.setInsertionPointAfter(op);
    Value narrow = raise::makeCast(builder, op->getLoc(), result, half);
    result.replaceAllUsesExcept(narrow, narrow.getDefiningOp());
  }
};
} // namespace
