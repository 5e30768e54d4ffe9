// raise-moe: mixtures of experts that the model came with become uoe.moe.
#include "passes/Passes.h"
#include "passes/raise/Moe.h"

namespace uoe {
#define GEN_PASS_DEF_RAISEMOEPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using namespace uoe::raise;
using onnx::NodeOp;

static Value matrixOf(OpBuilder &builder, Location loc, const StackedBranch &branch,
                      int64_t experts) {
  Value all = branch.matrix;
  if (branch.sideBySide) {
    int64_t in = sizeOf(all, 0), width = sizeOf(all, 1);
    all = makeReshape(builder, loc, all, {in, experts, width / experts});
    all = makeTranspose(builder, loc, all, {1, 0, 2});
  }
  Value w = makeSlice(builder, loc, all, branch.transposed ? 1 : 2, branch.start, branch.size,
                      branch.step);
  return branch.transposed ? makeTranspose(builder, loc, w, {0, 2, 1}) : w;
}

static Value biasOf(OpBuilder &builder, Location loc, const StackedBranch &branch) {
  Value bias = branch.bias;
  if (!bias)
    return {};
  if (rankOf(bias) == 3) // [E, 1, out] or [1, E, out]
    bias = makeReshape(builder, loc, bias, {sizeOf(bias, 0) * sizeOf(bias, 1), sizeOf(bias, 2)});
  return makeSlice(builder, loc, bias, 1, branch.start, branch.size, branch.step);
}

// Experts that are spelled one after the other, stacked.
static FfnOperands stacked(OpBuilder &builder, Location loc, ArrayRef<FfnMatch> experts) {
  SmallVector<FfnOperands> all;
  for (const FfnMatch &expert : experts)
    all.push_back(makeOperands(builder, loc, expert));
  auto stack = [&](Value FfnOperands::*member) {
    SmallVector<Value> parts;
    for (FfnOperands &one : all) {
      if (!(one.*member))
        return Value();
      parts.push_back(makeUnsqueeze(builder, loc, one.*member, 0));
    }
    auto part = cast<RankedTensorType>(parts.front().getType());
    SmallVector<int64_t> shape(part.getShape());
    shape[0] = static_cast<int64_t>(parts.size());
    return makeNode(builder, loc, "Concat", parts,
                    RankedTensorType::get(shape, part.getElementType()),
                    builder.getNamedAttr("axis", builder.getI64IntegerAttr(0)));
  };
  return {stack(&FfnOperands::up),       stack(&FfnOperands::gate),
          stack(&FfnOperands::down),     stack(&FfnOperands::biasUp),
          stack(&FfnOperands::biasGate), stack(&FfnOperands::biasDown)};
}

// The weights of a choice by another rule, each in its expert's column, 0 elsewhere.
static Value scattered(OpBuilder &builder, Location loc, MoeMatch &match) {
  auto type = cast<RankedTensorType>(match.scores.getType());
  auto i64 = builder.getI64Type();
  Value shape = makeNode(builder, loc, "Shape", {match.scores}, RankedTensorType::get({2}, i64));
  auto fill = DenseElementsAttr::get(RankedTensorType::get({1}, elementOf(match.weights)),
                                     Attribute(builder.getFloatAttr(elementOf(match.weights), 0)));
  auto result = RankedTensorType::get(type.getShape(), elementOf(match.weights));
  Value zeros = makeNode(builder, loc, "ConstantOfShape", {shape}, result,
                         builder.getNamedAttr("value", fill));
  Value indices = makeCast(builder, loc, match.indices, i64);
  return makeNode(builder, loc, "ScatterElements", {zeros, indices, match.weights}, result,
                  builder.getNamedAttr("axis", builder.getI64IntegerAttr(1)));
}

static Value selectionBias(OpBuilder &builder, Location loc, const Gating &gating) {
  Value bias = gating.selectionBias;
  return bias && rankOf(bias) == 2 ? makeReshape(builder, loc, bias, {sizeOf(bias, 1)}) : bias;
}

static FloatAttr limitAttr(Builder builder, std::optional<double> limit) {
  return limit ? builder.getF32FloatAttr(static_cast<float>(*limit)) : FloatAttr();
}

static void raiseOne(MoeMatch &match) {
  Operation *last = match.root.getDefiningOp();
  OpBuilder builder(last);
  Location loc = blockLoc(last);
  Value input, scores, up, gate, down, biasUp, biasGate, biasDown;
  if (match.opaque.empty() && !match.experts.empty()) {
    input = match.input;
    scores = match.scores;
    FfnOperands made = stacked(builder, loc, match.experts);
    up = made.up, gate = made.gate, down = made.down;
    biasUp = made.biasUp, biasGate = made.biasGate, biasDown = made.biasDown;
  } else if (match.opaque.empty()) {
    int64_t experts = sizeOf(match.down.matrix, 0);
    input = match.input;
    scores = match.scores;
    if (match.flattens)
      for (Value *rows : {&input, &scores})
        if (rankOf(*rows) != 2)
          *rows = makeReshape(builder, loc, *rows, {ShapedType::kDynamic, sizeOf(*rows, -1)});
    up = matrixOf(builder, loc, match.up, experts);
    biasUp = biasOf(builder, loc, match.up);
    if (match.gate) {
      gate = matrixOf(builder, loc, *match.gate, experts);
      biasGate = biasOf(builder, loc, *match.gate);
    }
    down = matrixOf(builder, loc, match.down, experts);
    biasDown = biasOf(builder, loc, match.down);
  }
  if (match.opaque.empty() && match.weights)
    scores = scattered(builder, loc, match);
  const Gating &gating = match.gating;
  bool opaque = !match.opaque.empty(), grouped = !opaque && !gating.groups.empty();
  auto single = [](double value) { return APFloat(static_cast<float>(value)); };
  auto moe = MoeOp::create(
      builder, loc, match.root.getType(), match.activation, match.k, gating.scoring,
      gating.normalized, input, scores, up, gate, down, biasUp, biasGate, biasDown,
      opaque ? Value() : selectionBias(builder, loc, gating),
      grouped ? builder.getDenseI64ArrayAttr(gating.groups) : DenseI64ArrayAttr(),
      grouped ? builder.getI64IntegerAttr(gating.groupK) : IntegerAttr(),
      grouped ? gating.groupScore : GroupScore::max, single(opaque ? 1.0 : gating.factor),
      limitAttr(builder, opaque ? std::nullopt : match.limit),
      single(opaque ? 0.0 : match.upOffset), StringAttr());
  outline(movable(match.nodes, match.root), match.root, moe.getSpelling(), moe->getResults());
}

static void raiseFused(NodeOp node, bool remarks) {
  OpBuilder builder(node);
  Location loc = blockLoc(node);
  FusedMoe fused = fusedMoe(builder, loc, node);
  if (!fused.opaque.empty() && remarks)
    emitRemark(node.getLoc()) << "mixture of experts without operands: " << fused.opaque;
  Nodes nodes;
  nodes.insert(node);
  auto moe = MoeOp::create(
      builder, loc, node.getResult(0).getType(), fused.activation, fused.k, Scoring::softmax,
      fused.normalized, fused.input, fused.scores, fused.up, fused.gate, fused.down, fused.biasUp,
      fused.biasGate, fused.biasDown, Value(), DenseI64ArrayAttr(), IntegerAttr(), GroupScore::max,
      APFloat(1.0f), limitAttr(builder, fused.limit), APFloat(static_cast<float>(fused.upOffset)),
      builder.getStringAttr(node.getDomain() + "." + node.getOpType()));
  outline(nodes, node.getResult(0), moe.getSpelling(), moe->getResults());
}

namespace {
struct RaiseMoePass : uoe::impl::RaiseMoePassBase<RaiseMoePass> {
  using RaiseMoePassBase::RaiseMoePassBase;

  void runOnOperation() override {
    Constants facts;
    SmallVector<NodeOp> nodes;
    getOperation().walk<WalkOrder::PreOrder>([&](Operation *op) {
      if (isa<FfnOp, AttentionOp, MoeOp>(op))
        return WalkResult::skip();
      if (auto node = dyn_cast<NodeOp>(op);
          node && (node.is("TopK") || node.is("ArgMax") || isFusedMoe(node)))
        nodes.push_back(node);
      return WalkResult::advance();
    });
    for (NodeOp node : nodes) {
      if (node->getParentOfType<MoeOp>())
        continue;
      if (isFusedMoe(node)) {
        if (node->getNumResults() == 1) {
          raiseFused(node, remarks);
          ++numRaised;
        }
        continue;
      }
      MoeOutcome outcome = matchMoe(node, facts);
      if (outcome.match) {
        if (!outcome.match->opaque.empty() && remarks)
          emitRemark(node.getLoc())
              << "mixture of experts without operands: " << outcome.match->opaque;
        raiseOne(*outcome.match);
        ++numRaised;
      } else if (outcome.reason && remarks) {
        emitRemark(node.getLoc()) << "not a mixture of experts: " << outcome.reason->text;
      }
    }
    numberLayers(getOperation());
  }
};
} // namespace
