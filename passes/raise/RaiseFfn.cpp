// raise-ffn: subgraphs that are dense feed-forward blocks become uoe.ffn.
#include "passes/Passes.h"
#include "passes/raise/Ffn.h"

namespace uoe {
#define GEN_PASS_DEF_RAISEFFNPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

static void raiseOne(FfnMatch &match) {
  Operation *last = match.root.getDefiningOp();
  OpBuilder builder(last);
  Location loc = blockLoc(last);
  auto weight = [&](FfnBranch &branch) {
    return makeSlice(builder, loc, branch.linear.weight(builder), 1, branch.start, branch.size);
  };
  auto bias = [&](FfnBranch &branch) {
    // The branch's own bias covers all columns of a packed product; a fused activation's only its
    // own.
    Value own = makeBias(builder, loc, branch.linear, {}, branch.start, branch.size);
    if (!branch.extraBias)
      return own;
    Value extra = makeBias(builder, loc, Linear(), branch.extraBias, 0, branch.size);
    return own ? makeNode(builder, loc, "Add", {own, extra}, own.getType()) : extra;
  };
  Value up = weight(match.up), biasUp = bias(match.up), gate, biasGate;
  if (match.gate) {
    gate = weight(*match.gate);
    biasGate = bias(*match.gate);
  }
  Value down = makeScaled(builder, loc, match.down.weight(builder), match.factor);
  Value biasDown = makeBias(builder, loc, match.down, match.downBiases, 0, match.down.out);
  if (match.flattens)
    match.input =
        makeReshape(builder, loc, match.input, {ShapedType::kDynamic, match.up.linear.in});
  auto ffn = FfnOp::create(builder, loc, match.root.getType(), match.activation, match.input, up,
                           gate, down, biasUp, biasGate, biasDown);
  outline(movable(match.nodes, match.root), match.root, ffn.getSpelling(), ffn->getResults());
}

namespace {
struct RaiseFfnPass : uoe::impl::RaiseFfnPassBase<RaiseFfnPass> {
  using RaiseFfnPassBase::RaiseFfnPassBase;
  void runOnOperation() override {
    Facts facts;
    SmallVector<NodeOp> nodes;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<FfnOp, AttentionOp, MoeOp>(op))
        return WalkResult::skip();
      if (auto node = dyn_cast<NodeOp>(op))
        nodes.push_back(node);
      return WalkResult::advance();
    });
    for (NodeOp node : nodes) {
      if (node->getParentOfType<FfnOp>() || node->getParentOfType<MoeOp>())
        continue;
      FfnOutcome outcome = matchFfn(node, facts);
      if (outcome.match) {
        raiseOne(*outcome.match);
        ++numRaised;
      } else if (outcome.reason && remarks) {
        emitRemark(outcome.reason->at ? outcome.reason->at->getLoc() : node.getLoc())
            << "not a feed-forward block: " << outcome.reason->text;
      }
    }
    numberLayers(getOperation());
  }
};
} // namespace
