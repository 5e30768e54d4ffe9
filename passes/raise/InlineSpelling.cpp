// inline-spelling and drop-spelling: a raised block is either the nodes that spelled it or what its
// operands say.
#include "passes/Passes.h"
#include "passes/raise/Match.h"

namespace uoe {
#define GEN_PASS_DEF_INLINESPELLINGPASS
#define GEN_PASS_DEF_DROPSPELLINGPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;

static SmallVector<Operation *> spelledBlocks(ModuleOp module) {
  SmallVector<Operation *> blocks;
  module.walk<WalkOrder::PostOrder>([&](Operation *op) {
    if (isa<FfnOp, AttentionOp, MoeOp>(op) && !op->getRegion(0).empty())
      blocks.push_back(op);
  });
  return blocks;
}

// Nodes that were made for operands, users before what they use.
static void eraseUnusedOperands(ModuleOp module) {
  SmallVector<Operation *> made;
  module.walk([&](Operation *op) {
    if (op->hasAttr(raise::kMade))
      made.push_back(op);
  });
  for (Operation *op : llvm::reverse(made))
    if (op->use_empty())
      op->erase();
}

namespace {
struct InlineSpellingPass : uoe::impl::InlineSpellingPassBase<InlineSpellingPass> {
  void runOnOperation() override {
    for (Operation *op : spelledBlocks(getOperation())) {
      Block &body = op->getRegion(0).front();
      Operation *yield = body.getTerminator();
      op->replaceAllUsesWith(yield->getOperands());
      yield->erase();
      op->getBlock()->getOperations().splice(op->getIterator(), body.getOperations());
      op->erase();
    }
    eraseUnusedOperands(getOperation());
  }
};

struct DropSpellingPass : uoe::impl::DropSpellingPassBase<DropSpellingPass> {
  void runOnOperation() override {
    for (Operation *op : spelledBlocks(getOperation())) {
      auto attention = dyn_cast<AttentionOp>(op);
      auto moe = dyn_cast<MoeOp>(op);
      if ((attention && !attention.getQuery()) || (moe && !moe.getInput()))
        continue;
      Region &region = op->getRegion(0);
      region.dropAllReferences();
      region.getBlocks().clear();
      // A fused operator that the operands replace is not one any more.
      if (attention)
        attention.removeFusedAttr();
    }
  }
};
} // namespace
