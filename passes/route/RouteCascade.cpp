// route-cascade: experts of single input channels and single neurons, selected by exact thresholds
// on their own magnitudes. No router, no predictor (lib/Calibration/README.md gives the equations).
#include "include/uoe/calibration/Cascade.h"
#include "passes/Passes.h"
#include "passes/decompose/Decompose.h"
#include "passes/lower/Lower.h"
#include "passes/route/Route.h"

namespace uoe {
#define GEN_PASS_DEF_ROUTECASCADEPASS
#include "passes/Passes.h.inc"
} // namespace uoe

using namespace mlir;
using namespace uoe;
using calibration::CascadePlan;

namespace {

struct RouteCascadePass : uoe::impl::RouteCascadePassBase<RouteCascadePass> {
  using RouteCascadePassBase::RouteCascadePassBase;

  void runOnOperation() override {
    VisitOptions visit{"route-cascade", profile, budget, true, "thresholds"};
    if (failed(visitBlocks(getOperation(), visit, [&](VisitedBlock &b) { return route(b); })))
      signalPassFailure();
  }

  LogicalResult route(VisitedBlock &block) {
    calibration::CascadeOptions options;
    options.budget = block.ownBudget();
    options.search = search;
    CascadePlan plan;
    if (calibration::Status status =
            calibration::calibrateCascade(block.weights.ffn, block.data(), options, plan);
        !status.ok())
      return block.op.emitError(block.name) << ": " << status.message;
    ++routed;
    return rewrite(block, plan);
  }

  // The routing of single channels of x whose |x_i|·norm_i lies above a threshold.
  Value magnitude(OpBuilder &builder, Location loc, Value x, Value norms, float threshold) {
    auto type =
        RankedTensorType::get(cast<RankedTensorType>(x.getType()).getShape(), builder.getF32Type());
    auto score = ScoreOp::create(builder, loc, type, ScoreKind::magnitude, x, ValueRange{norms});
    auto select =
        SelectOp::create(builder, loc, RoutingType::get(&getContext(), type.getShape().back()),
                         Rule::threshold, score.getScores());
    select.setTauAttr(builder.getF32FloatAttr(threshold));
    return select.getRouting();
  }

  // Experts of one channel each. `body` builds the expert from its slices and gives its result.
  ExpertsOp channels(OpBuilder &builder, Location loc, ArrayRef<Value> sliced,
                     ArrayRef<int64_t> axes, Value routing, Combine combine, Type result,
                     function_ref<Value(OpBuilder &, ValueRange)> body) {
    int64_t count = cast<RoutingType>(routing.getType()).getExperts();
    SmallVector<int64_t> sizes(count, 1);
    auto op = ExpertsOp::create(builder, loc, result, ValueRange{}, sliced, routing, Value(), axes,
                                sizes, combine);
    Block *block = new Block;
    op.getBody().push_back(block);
    for (auto [value, axis] : llvm::zip(sliced, axes)) {
      auto type = cast<RankedTensorType>(value.getType());
      SmallVector<int64_t> shape(type.getShape());
      shape[axis] = 1;
      block->addArgument(RankedTensorType::get(shape, type.getElementType()), loc);
    }
    OpBuilder inner = OpBuilder::atBlockEnd(block);
    YieldOp::create(inner, loc, body(inner, block->getArguments()));
    return op;
  }

  // Σ over chosen channels i of x of x_i · w[i, :].
  Value rows(OpBuilder &builder, Location loc, Value x, Value w, Value routing, Type result) {
    int64_t rank = cast<RankedTensorType>(x.getType()).getRank();
    return channels(builder, loc, {x, w}, {rank - 1, 0}, routing, Combine::sum, result,
                    [&](OpBuilder &b, ValueRange parts) {
                      return binary(b, loc, "MatMul", parts[0], parts[1], result);
                    })
        .getOutput();
  }

  LogicalResult rewrite(VisitedBlock &block, const CascadePlan &plan) {
    FfnOp ffn = block.op;
    const std::string &name = block.name;
    ModuleOp module = getOperation();
    OpBuilder builder(ffn);
    Location loc = ffn.getLoc();
    NodeBuilder nodes(builder, loc, onnx::opsetOf(ffn));
    bool ok = true;
    auto weight = [&](StringRef what, const std::vector<float> &values) -> Value {
      auto value = newWeight(builder, module, name + "." + what.str(),
                             {static_cast<int64_t>(values.size())}, values);
      ok &= succeeded(value);
      return ok ? *value : Value();
    };
    bool gated = static_cast<bool>(ffn.getGate());
    Value mean = weight("mean", plan.mean), gateNorm = weight("gate.norm", plan.gateNorm),
          gateOffset = weight("gate.offset", plan.gateOffset),
          downNorm = weight("down.norm", plan.downNorm),
          outputBias = weight("down.bias", plan.outputBias), upNorm, upOffset, gateScale;
    if (gated) {
      upNorm = weight("up.norm", plan.upNorm);
      upOffset = weight("up.offset", plan.upOffset);
      gateScale = weight("gate.scale", plan.gateScale);
    }
    if (!ok)
      return failure();
    // Types of our own ops carry no dimension names: slices and scores would have to rename them.
    auto plain = [](Type type) { return onnx::dropDims(type); };
    Value x = ffn.getInput();
    auto xType = cast<RankedTensorType>(x.getType());
    SmallVector<int64_t> hidden(xType.getShape());
    hidden.back() = static_cast<int64_t>(plan.downNorm.size());
    auto hType = RankedTensorType::get(hidden, builder.getF32Type());
    Value z = binary(builder, loc, "Sub", x, mean, plain(x.getType()));
    Value first = gated ? ffn.getGate() : ffn.getUp();
    Value g = rows(builder, loc, z, first, magnitude(builder, loc, z, gateNorm, plan.gateThreshold),
                   hType);
    g = nodes.activation(ffn.getActivation(), binary(builder, loc, "Add", g, gateOffset),
                         ffn.getFunctionAttr());
    g.setType(hType);
    Value h = g;
    if (gated) {
      Value active = magnitude(builder, loc, g, gateScale, plan.activeThreshold);
      Value u = rows(builder, loc, z, ffn.getUp(),
                     magnitude(builder, loc, z, upNorm, plan.upThreshold), hType);
      u = binary(builder, loc, "Add", u, upOffset);
      int64_t last = xType.getRank() - 1;
      h = channels(builder, loc, {g, u}, {last, last}, active, Combine::concat, hType,
                   [&](OpBuilder &b, ValueRange parts) {
                     return binary(b, loc, "Mul", parts[0], parts[1]);
                   })
              .getOutput();
    }
    Value y = rows(builder, loc, h, ffn.getDown(),
                   magnitude(builder, loc, h, downNorm, plan.downThreshold),
                   plain(ffn.getOutput().getType()));
    annotate(y.getDefiningOp(), block, "cascade", plan.cost, plan.error);
    y = binary(builder, loc, "Add", y, outputBias, ffn.getOutput().getType());
    ffn.getResult().replaceAllUsesWith(y);
    ffn.erase();
    return success();
  }
};

} // namespace
