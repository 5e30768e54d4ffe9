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

FfnOperands raise::makeOperands(OpBuilder &builder, Location loc, const FfnMatch &match) {
  auto weight = [&](const FfnBranch &branch) {
    return makeSlice(builder, loc, branch.linear.weight(builder), 1, branch.start, branch.size,
                     branch.step);
  };
  auto bias = [&](const FfnBranch &branch) {
    // The branch's own bias covers all columns of a packed product; a fused activation's only its
    // own.
    Value own = makeBias(builder, loc, branch.linear, {}, branch.start, branch.size, branch.step);
    if (!branch.extraBias)
      return own;
    Value extra = makeBias(builder, loc, Linear(), branch.extraBias, 0, branch.size);
    return own ? makeNode(builder, loc, "Add", {own, extra}, own.getType()) : extra;
  };
  FfnOperands made;
  made.up = weight(match.up);
  made.biasUp = bias(match.up);
  if (match.gate) {
    made.gate = weight(*match.gate);
    made.biasGate = bias(*match.gate);
  }
  made.down = makeScaled(builder, loc, match.down.weight(builder), match.factor);
  made.biasDown = makeBias(builder, loc, match.down, match.downBiases, 0, match.down.out);
  return made;
}

static void raiseOne(FfnMatch &match) {
  Operation *last = match.root.getDefiningOp();
  OpBuilder builder(last);
  Location loc = blockLoc(last);
  FfnOperands made = makeOperands(builder, loc, match);
  if (match.flattens)
    match.input =
        makeReshape(builder, loc, match.input, {ShapedType::kDynamic, match.up.linear.in});
  auto ffn =
      FfnOp::create(builder, loc, match.root.getType(), match.activation, match.input, made.up,
                    made.gate, made.down, made.biasUp, made.biasGate, made.biasDown);
  ffn.setFunctionAttr(match.function);
  if (match.limit)
    ffn.setLimitAttr(builder.getF32FloatAttr(static_cast<float>(*match.limit)));
  ffn.setUpOffsetAttr(builder.getF32FloatAttr(static_cast<float>(match.upOffset)));
  outline(movable(match.nodes, match.root), match.root, ffn.getSpelling(), ffn->getResults());
}

namespace {
struct RaiseFfnPass : uoe::impl::RaiseFfnPassBase<RaiseFfnPass> {
  using RaiseFfnPassBase::RaiseFfnPassBase;
  void runOnOperation() override {
    Constants facts;
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
